package web_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/web"
)

var updateGolden = flag.Bool("update", false, "write the answers to testdata instead of comparing them")

// goldenRequests are requests over HTTP, each with all that follows its first
// line but for the Host and the length of its body.
var goldenRequests = []struct{ line, headers, body string }{
	{"PUT /v1/kv/a", "", "one"},
	{"PUT /v1/kv/a", "Idempotency-Key: k1\r\n", "two"},
	{"PUT /v1/kv/a", "Idempotency-Key: k1\r\n", "two"},
	{"PUT /v1/kv/a", "Idempotency-Key: k1\r\n", "three"},
	{"PUT /v1/kv/t?ttl=30s", "If-None-Match: *\r\n", "\x01\xff"},
	{"GET /v1/kv/a", "", ""},
	{"GET /v1/kv/a", "If-None-Match: \"7f3a9c21-2\"\r\n", ""},
	{"GET /v1/kv/t", "Accept: application/json\r\n", ""},
	{"GET /v1/kv/a?consistency=local", "Accept: application/json\r\n", ""},
	{"HEAD /v1/kv/a", "", ""},
	{"PUT /v1/kv/a", "If-Match: \"7f3a9c21-1\"\r\n", "four"},
	{"PUT /v1/kv/new", "If-Match: *\r\n", "four"},
	{"PUT /v1/kv/a", "If-Match: nonsense\r\n", "four"},
	{"PUT /v1/kv/a", "If-Fence: deploy=3\r\n", "four"},
	{"PUT /v1/kv/a?ttl=1y", "", "four"},
	{"PUT /v1/kv/a?lease=none", "", "four"},
	{"PUT /v1/kv/a//b", "", "four"},
	{"PUT /v1/kv/locks/a", "", "four"},
	{"POST /v1/cas/c", "", `{"expected":null,"new":"x"}`},
	{"POST /v1/cas/c", "", `{"expected":"y","new":"z"}`},
	{"POST /v1/cas/c", "", `{"expected":"x","new":null}`},
	{"POST /v1/batch", "", `{"ops":[{"op":"put","key":"p/1","value":"1"},{"op":"get","key":"t"},{"op":"delete","key":"none"}]}`},
	{"POST /v1/batch", "", `{"checks":[{"key":"p/1","rev":1}],"ops":[{"op":"delete","key":"p/1"}],"else":[{"op":"get","key":"p/1"}]}`},
	{"POST /v1/batch", "", `{"checks":[{"key":"p/1","value":"2"}],"ops":[]}`},
	{"POST /v1/batch", "", `{"ops":[{"op":"put","key":"p/1","value":"1","lease":"none"}]}`},
	{"POST /v1/batch", "", `{"ops":[{"op":"put","key":"p/1"}]}`},
	{"POST /v1/batch", "", `{"ops":[],"ops":[]}`},
	{"GET /v1/kv?prefix=p/", "", ""},
	{"GET /v1/kv?limit=1&keys=1", "", ""},
	{"GET /v1/kv", "Accept: application/x-ndjson\r\n", ""},
	{"GET /v1/kv?cursor=x", "", ""},
	{"DELETE /v1/kv?prefix=p/", "", ""},
	{"DELETE /v1/kv", "", ""},
	{"DELETE /v1/kv/a", "", ""},
	{"DELETE /v1/kv/a", "", ""},
	{"POST /v1/locks/deploy", "", `{"ttl":"30s","owner":"me"}`},
	{"POST /v1/locks/deploy", "", `{"ttl":"30s"}`},
	{"GET /v1/locks/deploy", "", ""},
	{"PUT /v1/kv/a", "If-Fence: deploy=3\r\n", "four"},
	{"POST /v1/locks/deploy/keepalive", "", `{"token":3}`},
	{"DELETE /v1/locks/deploy?force=1", "", ""},
	{"GET /v1/locks/deploy", "", ""},
	{"POST /v1/leases", "", `{"ttl":"30s"}`},
	{"POST /v1/leases", "", `{}`},
	{"GET /v1/leases/none", "", ""},
	{"OPTIONS /v1/kv/a", "Origin: http://localhost\r\nAccess-Control-Request-Method: PUT\r\n", ""},
	{"POST /v1/kv/a", "", ""},
	{"GET /v1/nothing", "", ""},
	{"GET /v1/kv/a?waiting=1s", "", ""},
	{"GET /v1/kv/a", "Accept: image/png\r\n", ""},
	{"GET /v1/watch", "", ""},
}

// goldenCommands are commands on one WebSocket, each with how many frames follow.
var goldenCommands = []struct {
	text   string
	frames int
}{
	{`{"id":1,"op":"ping"}`, 1},
	{`{"id":2,"op":"put","key":"a","value":"1","ttl":"30s"}`, 1},
	{`{"id":3,"op":"get","key":"a"}`, 1},
	{`{"id":4,"op":"put","key":"a","value":"/w==","encoding":"base64","if_match":"\"7f3a9c21-1\""}`, 1},
	{`{"id":5,"op":"put","key":"a","value":"2","if_match":"*","fence":{"deploy":3}}`, 1},
	{`{"id":6,"op":"cas","key":"c","expected":null,"new":"x"}`, 1},
	{`{"id":7,"op":"cas","key":"c","expected":"x","new":null}`, 1},
	{`{"id":8,"op":"batch","checks":[{"key":"a","version":9}],"ops":[],"else":[{"op":"get","key":"a"}]}`, 1},
	{`{"id":9,"op":"batch","checks":[{"key":"a","version":9}],"ops":[]}`, 1},
	{`{"id":10,"op":"list","limit":1}`, 1},
	{`{"id":11,"op":"delete","prefix":"c"}`, 1},
	{`{"id":12,"op":"delete","key":"none"}`, 1},
	{`{"id":13,"op":"lock","lock":"deploy","ttl":"30s","owner":"me"}`, 1},
	{`{"id":14,"op":"lock","lock":"deploy","ttl":"30s"}`, 1},
	{`{"id":15,"op":"unlock","lock":"deploy","force":true}`, 1},
	{`{"id":16,"op":"unlock","lock":"deploy","token":7}`, 1},
	{`{"id":17,"op":"lease","ttl":"30s"}`, 1},
	{`{"id":18,"op":"keepalive","lease":"none"}`, 1},
	{`{"id":19,"op":"put","key":"b","value":"1","lease":"none"}`, 1},
	{`{"id":20,"op":"put","key":"b","value":"1","idempotency_key":"k"}`, 1},
	{`{"id":21,"op":"put","key":"b","value":"1","idempotency_key":"k"}`, 1},
	{`{"id":22,"op":"put","key":"b","value":"2","idempotency_key":"k"}`, 1},
	{`{"id":23,"op":"watch","prefixes":["b"]}`, 4},
	{"write b/1", 1},
	{`{"id":26,"op":"unwatch","watch":23}`, 1},
	{`{"id":27,"op":"unwatch","watch":23}`, 1},
	{`{"id":28,"op":"dance"}`, 1},
	{`{"id":29,"op":"get"}`, 1},
	{`{"id":30,"op":"ping","if_match":"*"}`, 1},
}

// Every byte that a client sees is a promise. What of it a change alters shows
// here, in testdata, and must be meant; -update writes it anew.
func TestGolden(t *testing.T) {
	var b strings.Builder
	goldenHTTP(t, &b)
	goldenStream(t, &b)
	goldenSocket(t, &b)
	got := maskGolden(b.String())
	const file = "testdata/golden.txt"
	if *updateGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wantLines := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(wantLines) || line != wantLines[i] {
			t.Fatalf("%s:%d: got %q, want %q", file, i+1, line, wantLines[min(i, len(wantLines)-1)])
		}
	}
}

// maskGolden hides what is another at each run.
func maskGolden(s string) string {
	for pattern, by := range map[string]string{
		`Date: [^\r]*\r`: "Date: -\r", `l-[0-9a-f]{32}`: "l-", `retry: \d+`: "retry: -",
	} {
		s = regexp.MustCompile(pattern).ReplaceAllString(s, by)
	}
	return strings.ReplaceAll(s, "\r\n", "\n")
}

// newGoldenWorld has no time pass on the log.
func newGoldenWorld(t *testing.T) *world {
	w := newWorldWith(t, kv.Params{}, kv.Limits{}, func(o *web.Options) { o.Listen = []string{"127.0.0.1:7070"} })
	w.log.frozen = true
	return w
}

func goldenHTTP(t *testing.T, b *strings.Builder) {
	w := newGoldenWorld(t)
	c := w.wire(t)
	both := bufio.NewReader(io.TeeReader(oneByte{c.conn}, b))
	for _, r := range goldenRequests {
		fmt.Fprintf(b, "\n--- %s %s%q\n", r.line, r.headers, r.body)
		length := ""
		if r.body != "" {
			length = fmt.Sprintf("Content-Length: %d\r\n", len(r.body))
		}
		c.send(r.line + " HTTP/1.1\r\nHost: localhost\r\n" + r.headers + length + "\r\n" + r.body)
		method, _, _ := strings.Cut(r.line, " ")
		resp, err := http.ReadResponse(both, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s: %v", r.line, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatalf("%s: %v", r.line, err)
		}
	}
}

// A oneByte reads so little at once that nothing of a second answer is read
// with the first.
type oneByte struct{ conn net.Conn }

func (o oneByte) Read(b []byte) (int, error) { return o.conn.Read(b[:1]) }

func goldenStream(t *testing.T, b *strings.Builder) {
	w := newGoldenWorld(t)
	w.write("s/1", "one")
	for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
		s := w.tail("/v1/watch?prefix=s/", "Accept: "+accept)
		s.resp.Header.Del("Date")
		fmt.Fprintf(b, "\n--- %s %v\n", accept, s.resp.Header)
		for synced, end := false, false; !end; {
			line, err := s.body.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(line)
			if end = synced && strings.Contains(line, "encoding"); !synced && strings.Contains(line, `"synced"`) {
				synced = true
				w.write("s/2", "two\xff\u2028")
			}
		}
	}
}

func goldenSocket(t *testing.T, b *strings.Builder) {
	w := newGoldenWorld(t)
	b.WriteString("\n--- handshake\n" + w.rawHead(fmt.Sprintf(handshake, "")))
	c := w.rawSocket("", "")
	c.conn.SetDeadline(time.Now().Add(time.Minute))
	for _, g := range goldenCommands {
		fmt.Fprintf(b, "\n--- %s\n", g.text)
		if key, ok := strings.CutPrefix(g.text, "write "); ok {
			w.write(key, "\u2028\"é")
		} else {
			c.send(masked(textFrame, g.text))
		}
		for range g.frames {
			first, payload := c.frame()
			fmt.Fprintf(b, "%x %s\n", first, payload)
		}
	}
}
