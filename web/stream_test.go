package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"keywatch/test/gate"
	"keywatch/web"
)

// A tail is a connection that got a stream.
type tail struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	resp *http.Response
	body *bufio.Reader
}

// ask sends a request head on conn and reads the head of the answer.
func ask(t testing.TB, conn net.Conn, head ...string) *tail {
	t.Helper()
	method, _, _ := strings.Cut(head[0], " ")
	return askWith(t, conn, method, strings.Join(head, "\r\n")+"\r\n\r\n")
}

// askWith sends a request as it is.
func askWith(t testing.TB, conn net.Conn, method, request string) *tail {
	t.Helper()
	// In one piece, from another goroutine: a pipe has no buffer.
	go io.WriteString(conn, request)
	s := &tail{t: t, conn: conn, r: bufio.NewReader(conn)}
	resp, err := http.ReadResponse(s.r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	s.resp, s.body = resp, bufio.NewReader(resp.Body)
	return s
}

// tail opens a stream over the network.
func (w *world) tail(path string, headers ...string) *tail {
	w.t.Helper()
	conn, err := w.connect()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	gate.Bound(w.t, conn)
	return ask(w.t, conn, append([]string{"GET " + path + " HTTP/1.1", "Host: " + w.addr}, headers...)...)
}

// block returns the next lines up to and without an empty one.
func (s *tail) block() string {
	s.t.Helper()
	var lines []string
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			s.t.Fatalf("after %q: %v", lines, err)
		}
		if line == "\n" {
			return strings.Join(lines, "")
		}
		lines = append(lines, line)
	}
}

func (s *tail) want(blocks ...string) {
	s.t.Helper()
	for _, want := range blocks {
		if got := s.block(); got != want {
			s.t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
}

// wantRetry fails unless the next block asks for 1 to 3 seconds.
func (s *tail) wantRetry() {
	s.t.Helper()
	if got := s.block(); !regexp.MustCompile(`^retry: ([12]\d{3}|3000)\n$`).MatchString(got) {
		s.t.Fatalf("got %q, want a retry of 1 to 3 s", got)
	}
}

const (
	sseReset  = "event: reset\ndata: {\"type\":\"reset\"}\nid: 7f3a9c21-0\n"
	sseSynced = "event: synced\ndata: {\"type\":\"synced\"}\nid: 7f3a9c21-%d\n"
)

func ssePut(key, value string, rev, create, version int, id string) string {
	data := fmt.Sprintf(`{"type":"put","key":%q,"value":%q,"rev":%d,"create_rev":%d,"version":%d}`, key, value, rev, create, version)
	return "event: put\ndata: " + data + "\n" + id
}

func sseID(rev int) string { return fmt.Sprintf("id: 7f3a9c21-%d\n", rev) }

// Without it the stream would not be what an EventSource, a proxy or curl reads,
// in either version of HTTP. A browser's has no chunks, which haproxy would hold back; others'
// has, because clients that read pieces of a fixed size see nothing of a body without.
func TestStream(t *testing.T) {
	w := newWorld(t)
	w.want(201, "PUT", "/v1/kv/sensors/1", "20")
	for _, c := range []struct {
		proto, mode, coding string
	}{{"HTTP/1.1", "cors", "[]"}, {"HTTP/1.1", "", "[chunked]"}, {"HTTP/1.0", "", "[]"}} {
		proto := c.proto
		conn, err := w.connect()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		head := []string{"GET /v1/watch?prefix=sensors/ " + proto, "Host: " + w.addr, "Origin: " + w.base}
		if c.mode != "" {
			head = append(head, "Sec-Fetch-Mode: "+c.mode)
		}
		s := ask(t, conn, head...)
		if got := fmt.Sprint(s.resp.TransferEncoding); got != c.coding {
			t.Errorf("%s, Sec-Fetch-Mode %q: transfer encoding is %s, want %s", proto, c.mode, got, c.coding)
		}
		if !s.resp.Close || s.resp.StatusCode != 200 || s.resp.ContentLength != -1 {
			t.Errorf("%s: got %+v, want 200 until the connection closes", proto, s.resp)
		}
		at := w.state.Position()
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "Vary": "Accept, Origin",
			"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff", "Keywatch-Position": at.String(),
			"Access-Control-Allow-Origin": w.base,
		} {
			if got := strings.Join(s.resp.Header.Values(name), " and "); got != want {
				t.Errorf("%s: %s is %q, want %q", proto, name, got, want)
			}
		}
		e, _ := w.state.Get("sensors/1")
		s.wantRetry()
		s.want(sseReset, ssePut("sensors/1", string(e.Value()), int(e.Mod), 1, int(e.Version), ""), fmt.Sprintf(sseSynced, at.Rev))
		w.want(200, "PUT", "/v1/kv/sensors/1", "21.5")
		next := int(at.Rev) + 1
		s.want(ssePut("sensors/1", "21.5", next, 1, next, sseID(next)))
	}
}

// Without it a client that asked for lines, or for no event names, would get
// another form than it reads.
func TestStreamForms(t *testing.T) {
	w := newWorld(t)
	lines := w.tail("/v1/watch?prefix=&state=0", "Accept: application/x-ndjson")
	if got := lines.resp.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("got %q", got)
	}
	if got := strings.Join(lines.resp.TransferEncoding, ","); got != "chunked" {
		t.Errorf("got the encoding %q: a line that is cut off could seem whole", got)
	}
	w.want(201, "PUT", "/v1/kv/a", "1")
	for _, want := range []string{
		`{"type":"synced","pos":"7f3a9c21-0"}`,
		`{"type":"put","key":"a","value":"1","rev":1,"create_rev":1,"version":1,"pos":"7f3a9c21-1"}`,
	} {
		if got, err := lines.body.ReadString('\n'); got != want+"\n" {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	unnamed := w.tail("/v1/watch?key=a&named=0")
	unnamed.wantRetry()
	unnamed.want("data: {\"type\":\"reset\"}\nid: 7f3a9c21-0\n")
}

// Without it Last-Event-ID would not bring a browser back to where it was.
func TestStreamResumes(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.do("PUT", "/v1/kv/a", fmt.Sprint(i))
	}
	s := w.tail("/v1/kv/a", "Accept: text/event-stream", "Last-Event-ID: 7f3a9c21-2")
	s.wantRetry()
	s.want(ssePut("a", "2", 3, 1, 3, sseID(3)), fmt.Sprintf(sseSynced, 3))
}

// Without it HEAD would be answered with a stream that never ends.
func TestStreamHead(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxStreams = 1 })
	w.want(201, "PUT", "/v1/kv/a", "1")
	for _, path := range []string{"/v1/watch?key=a", "/v1/kv/a"} {
		if r := w.do("HEAD", path, "", "Accept", "text/event-stream"); r.body != "" {
			t.Errorf("got a body %q", r.body)
		}
	}
	if got := w.hub.Stats().Watchers; got != 0 {
		t.Errorf("got %d watchers, want 0", got)
	}
}

// Without it what a client sends after its request would end the stream, or be
// read as another request.
func TestStreamIgnoresWhatFollows(t *testing.T) {
	w := newWorld(t)
	conn, err := w.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := ask(t, conn, "GET /v1/watch?key=a&state=0 HTTP/1.1", "Host: "+w.addr, "",
		"PUT /v1/kv/a HTTP/1.1", "Host: "+w.addr, "Content-Length: 1", "", "x"+strings.Repeat("y", 1<<16))
	s.wantRetry()
	s.want(fmt.Sprintf(sseSynced, 0))
	w.want(201, "PUT", "/v1/kv/a", "1")
	s.want(ssePut("a", "1", 1, 1, 1, sseID(1)))
}

// Without it streams would have no bound, a refusal would make an EventSource
// give up for good, or a client that leaves would keep its place.
func TestStreamPlaces(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxStreams = 1 })
	first := w.tail("/v1/watch?key=a")
	w.refused(429, "too_many_connections", "GET", "/v1/watch?key=a", "", "Accept", "application/x-ndjson")
	bye := w.want(200, "GET", "/v1/watch?key=a", "", "Accept", "text/event-stream")
	form := regexp.MustCompile(`^retry: (\d{4})\nevent: bye\ndata: {"type":"bye","code":"too_many_connections","retry_ms":(\d{4})}\n\n$`)
	if m := form.FindStringSubmatch(bye.body); m == nil || m[1] != m[2] {
		t.Errorf("got %q", bye.body)
	}
	first.conn.Close()
	w.eventually("the place of a client that left is given to another", func() bool {
		conn, err := w.connect()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return ask(t, conn, "GET /v1/watch?key=a HTTP/1.1", "Host: "+w.addr).resp.StatusCode == 200
	})
}

// Without it clients would see a connection that breaks, all reconnect at the
// same moment, or keep the server from stopping.
func TestStreamsSayBye(t *testing.T) {
	w := newWorld(t)
	var tails []*tail
	for range 20 {
		s := w.tail("/v1/watch?prefix=")
		s.wantRetry()
		s.want(sseReset, fmt.Sprintf(sseSynced, 0))
		tails = append(tails, s)
	}
	if err := w.server.Shutdown(gate.Context(t)); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	retries := map[string]bool{}
	form := regexp.MustCompile(`^retry: ([12]\d{3}|3000)\nevent: bye\ndata: {"type":"bye","code":"stopping","retry_ms":(\d{4})}\n$`)
	for _, s := range tails {
		got := s.block()
		m := form.FindStringSubmatch(got)
		if m == nil || m[1] != m[2] {
			t.Fatalf("got %q", got)
		}
		retries[m[1]] = true
		if rest, err := io.ReadAll(s.body); err != nil || len(rest) > 0 {
			t.Errorf("got %q, %v after bye, want the end of the body", rest, err)
		}
	}
	if len(retries) < 5 {
		t.Errorf("20 streams were given only the retries %v", retries)
	}
}

// Without it many streams and writers at once could lose or repeat a change
// between the ring and the socket.
func TestManyStreams(t *testing.T) {
	const streams, writers, writes = 40, 8, 50
	w := newWorld(t)
	var reading, writing sync.WaitGroup
	for range streams {
		s := w.tail("/v1/watch?prefix=k/&state=0")
		reading.Go(func() {
			s.block()
			s.block()
			for rev := 1; rev <= writers*writes; rev++ {
				if got, id := s.block(), sseID(rev); !strings.HasSuffix(got, "\n"+id) {
					t.Errorf("got %q, want %q", got, id)
					return
				}
			}
		})
	}
	for i := range writers {
		writing.Go(func() {
			for range writes {
				w.do("PUT", fmt.Sprintf("/v1/kv/k/%d", i), "v")
			}
		})
	}
	writing.Wait()
	reading.Wait()
	if got := w.hub.Stats().Delivered; got != streams*writers*writes {
		t.Errorf("got %d delivered, want %d", got, streams*writers*writes)
	}
}
