package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/web"
)

type page struct {
	Entries []struct {
		Key, Value, Encoding string
		Rev                  uint64
	}
	Next     *string
	Position string
}

func (w *world) page(query string) (p page) {
	w.t.Helper()
	r := w.want(200, "GET", "/v1/kv?"+query, "")
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		w.t.Fatal(err)
	}
	if got := r.header.Get("Keywatch-Position"); got != p.Position {
		w.t.Errorf("Keywatch-Position is %s, position %s", got, p.Position)
	}
	return p
}

func (p page) keys() (keys []string) {
	for _, e := range p.Entries {
		keys = append(keys, e.Key)
	}
	return keys
}

// A list that leaves out a key, or shows it twice, breaks what is built on it.
func TestListPages(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 25 {
		key := fmt.Sprintf("a/%02d", i)
		w.want(201, "PUT", "/v1/kv/"+key, fmt.Sprint(i))
		want = append(want, key)
	}
	w.want(201, "PUT", "/v1/kv/b", "x")
	var got []string
	query := "prefix=a/&limit=10"
	for n := 0; ; n++ {
		p := w.page(query)
		got = append(got, p.keys()...)
		if p.Next == nil {
			if n != 2 {
				t.Errorf("%d pages, want 3", n+1)
			}
			break
		}
		query = "prefix=a/&limit=10&cursor=" + url.QueryEscape(*p.Next)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if p := w.page("prefix=a/&limit=25"); len(p.Entries) != 25 || p.Next != nil {
		t.Errorf("exactly one page: %d entries, next %v", len(p.Entries), p.Next)
	}
	p := w.page("prefix=a/0&limit=1")
	w.refused(400, "bad_parameter", "GET", "/v1/kv?prefix=b&cursor="+*p.Next, "")
	if p := w.page(""); len(p.Entries) != 26 {
		t.Errorf("everything: %d entries", len(p.Entries))
	}
	if r := w.want(200, "GET", "/v1/kv?prefix=b&keys=1", ""); !strings.HasPrefix(r.body, `{"entries":[{"key":"b","rev":26,"create_rev":26,"version":1,"tier":"memory"}],"position":`) {
		t.Errorf("keys=1: got %s", r.body)
	}
	if r := w.want(200, "GET", "/v1/kv?prefix=none", ""); r.body != `{"entries":[],"position":"7f3a9c21-26"}` {
		t.Errorf("nothing: got %s", r.body)
	}
}

// A page of large values must end before it fills the memory.
func TestListPageEndsAt8MiB(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.want(201, "PUT", fmt.Sprint("/v1/kv/k", i), strings.Repeat("v", 1<<20))
	}
	first := w.want(200, "GET", "/v1/kv", "").body
	if got := strings.Count(first, `"key":`); got != 7 {
		t.Errorf("got %d entries of 1 MiB, want 7", got)
	}
	_, next, ok := strings.Cut(first, `],"next":"`)
	if !ok {
		t.Fatal("the page is the last")
	}
	next, _, _ = strings.Cut(next, `"`)
	second := w.want(200, "GET", "/v1/kv?cursor="+next, "").body
	if got := strings.Count(second, `"key":`); got != 3 || strings.Contains(second, `],"next":`) {
		t.Errorf("got %d entries on the second page, want the other 3", got)
	}
}

// A stream of everything shows one revision, whatever is written meanwhile, and
// says with its last line that it is whole.
func TestListStream(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.want(201, "PUT", fmt.Sprintf("/v1/kv/k/%02d", i), strings.Repeat("old", 30_000))
	}
	req, _ := http.NewRequest("GET", w.base+"/v1/kv?prefix=k/", nil)
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	first, _ := lines.ReadString('\n')
	for i := range 40 {
		w.want(200, "PUT", fmt.Sprintf("/v1/kv/k/%02d", i), "new")
	}
	w.want(200, "DELETE", "/v1/kv?prefix=k/3", "")
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSuffix(first+string(rest), "\n"), "\n")
	if got, want := all[len(all)-1], `{"position":"7f3a9c21-40"}`; got != want || len(all) != 41 {
		t.Errorf("%d lines, the last is %s, want 41 and %s", len(all), got, want)
	}
	if strings.Contains(string(rest), "new") {
		t.Error("the stream shows more than one revision")
	}
}

// The snapshot of a stream whose client hangs up or stops reading must be
// closed: open snapshots hold memory.
func TestListStreamAbandoned(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.WriteTimeout = 200 * time.Millisecond })
	for i := range 30 {
		w.want(201, "PUT", fmt.Sprint("/v1/kv/k", i), strings.Repeat("v", 1<<20))
	}
	conn, err := w.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/kv HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
	// The client reads nothing more than the head, ever.
	if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	w.eventually("the snapshot is closed", func() bool { return w.state.Stats().Snapshots == 0 })
}

// HEAD of a stream sends no body, and so must not leave its snapshot open.
func TestListStreamHead(t *testing.T) {
	w := newWorld(t)
	w.want(201, "PUT", "/v1/kv/a", "1")
	r := w.want(200, "HEAD", "/v1/kv", "", "Accept", "application/x-ndjson")
	if r.body != "" || r.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("got %q %v", r.body, r.header)
	}
	w.eventually("the snapshot is closed", func() bool { return w.state.Stats().Snapshots == 0 })
}

// Were anything sent after the head of an answer to HEAD, the next answer on the
// connection could not be read.
func TestHeadLeavesTheConnectionClean(t *testing.T) {
	w := newWorld(t)
	conn, err := w.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	gate.Bound(t, conn)
	in := bufio.NewReader(conn)
	for _, path := range []string{"/v1/kv", "/v1/kv?prefix=a/", "/v1/kv/a", "/v1/status", "/metrics", "/", "/v1/nothing"} {
		for _, accept := range []string{"application/x-ndjson", "*/*"} {
			fmt.Fprintf(conn, "HEAD %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", path, accept)
			for _, method := range []string{"HEAD", "GET"} {
				if first, err := in.Peek(5); err != nil || string(first) != "HTTP/" {
					t.Fatalf("%s of %s after HEAD as %s: got %q, %v", method, path, accept, first, err)
				}
				resp, err := http.ReadResponse(in, &http.Request{Method: method})
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
			}
		}
	}
}

// A stream whose snapshot was ended must not look whole.
func TestListStreamSnapshotLost(t *testing.T) {
	w := newWorld(t)
	for i := range 30 {
		w.want(201, "PUT", fmt.Sprint("/v1/kv/k", i), strings.Repeat("v", 1<<20))
	}
	resp := w.openList()
	defer resp.Body.Close()
	// Each snapshot beyond the cap ends the oldest, which is the stream's.
	for i := 0; w.state.Stats().SnapshotsEnded == 0; i++ {
		if i > 10_000 {
			t.Fatal("no snapshot was ended")
		}
		snap, err := w.state.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		w.do("PUT", "/v1/kv/x", fmt.Sprint(i))
	}
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("read %d bytes to a proper end", len(body))
	}
}

func (w *world) openList() *http.Response {
	w.t.Helper()
	req, _ := http.NewRequest("GET", w.base+"/v1/kv", nil)
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}
