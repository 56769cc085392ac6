package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web"
)

// A caller that asks too much is told so before anything runs, and told when to
// try again; others are not held up by it.
func TestRateLimit(t *testing.T) {
	w := newWorld(t, trustLoopback, func(o *web.Options) {
		rate := ratelimit.Rate{PerSecond: 0.001, Burst: 3}
		o.Limiter = ratelimit.New(ratelimit.Options{Reads: rate, Writes: rate, Watches: ratelimit.Rate{PerSecond: 0.001, Burst: 1}})
	})
	from := func(ip string) []string { return []string{"X-Forwarded-For", ip} }
	for i := range 3 {
		r := w.do("PUT", "/v1/kv/a", "1", from("192.0.2.1")...)
		if want := fmt.Sprintf(`"writes";r=%d;t=`, 2-i); r.status > 201 || !strings.HasPrefix(r.header.Get("RateLimit"), want) {
			t.Errorf("put %d: got %d, RateLimit %q, want %s", i, r.status, r.header.Get("RateLimit"), want)
		}
	}
	r := w.refused(429, "rate_limited", "PUT", "/v1/kv/a", "2", from("192.0.2.1")...)
	if r.header.Get("Retry-After") == "" || !strings.HasPrefix(r.header.Get("RateLimit-Policy"), `"writes";q=3;w=`) || r.field("limit") != 3.0 {
		t.Errorf("429: %v %s", r.header, r.body)
	}
	w.want(200, "GET", "/v1/kv/a", "", from("192.0.2.1")...)
	w.want(200, "PUT", "/v1/kv/a", "3", from("192.0.2.2")...)
	w.want(200, "PUT", "/v1/kv/a", "4")
	// What the proxy did not write itself is not believed.
	w.refused(429, "rate_limited", "PUT", "/v1/kv/a", "2", from("192.0.2.9, 192.0.2.1, 10.0.0.1")...)
	batch := `{"ops":[{"op":"put","key":"a","value":""},{"op":"put","key":"b","value":""}]}`
	w.want(200, "POST", "/v1/batch", batch, from("192.0.2.3")...)
	w.refused(429, "rate_limited", "POST", "/v1/batch", batch, from("192.0.2.3")...)
	// An EventSource would give up for good on a 429.
	resp := w.stream("/v1/watch?key=a", append(from("192.0.2.4"), "Accept", "text/event-stream")...)
	resp.Body.Close()
	bye := w.want(200, "GET", "/v1/watch?key=a", "", append(from("192.0.2.4"), "Accept", "text/event-stream")...)
	if !strings.Contains(bye.body, "event: bye\n") || !strings.Contains(bye.body, `"code":"rate_limited"`) || !strings.Contains(bye.body, "retry: ") {
		t.Errorf("got %q", bye.body)
	}
	w.refused(429, "rate_limited", "GET", "/v1/watch?key=a", "", append(from("192.0.2.4"), "Accept", "text/event-stream, */*")...)
}

// Callers on the machine itself are not limited unless RateLoopback is set.
func TestRateLimitOnLoopback(t *testing.T) {
	limiter := func(o *web.Options) {
		o.Limiter = ratelimit.New(ratelimit.Options{Reads: ratelimit.Rate{PerSecond: 0.001, Burst: 1}})
	}
	w := newWorld(t, limiter)
	for range 5 {
		if r := w.want(404, "GET", "/v1/kv/a", ""); r.header.Get("RateLimit") != "" {
			t.Errorf("RateLimit is %q", r.header.Get("RateLimit"))
		}
	}
	w = newWorld(t, limiter, func(o *web.Options) { o.RateLoopback = true })
	w.want(404, "GET", "/v1/kv/a", "")
	w.refused(429, "rate_limited", "GET", "/v1/kv/a", "")
	// A caller that is not a trusted proxy cannot borrow another name.
	w.refused(429, "rate_limited", "GET", "/v1/kv/a", "", "X-Forwarded-For", "192.0.2.1")
}

// stream opens a stream and leaves it open.
func (w *world) stream(path string, headers ...string) *http.Response {
	w.t.Helper()
	req, _ := http.NewRequest("GET", w.base+path, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		w.t.Fatalf("%s: got %d", path, resp.StatusCode)
	}
	return resp
}

// More connections than allowed are refused with an answer, those that are
// open are served, and a place that is given back is used again.
func TestMaxConnections(t *testing.T) {
	w := newWorld(t, inClear, func(o *web.Options) { o.MaxConnections = 2 })
	dial := func() (net.Conn, *bufio.Reader) {
		conn, err := w.connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn, bufio.NewReader(conn)
	}
	ask := func(conn net.Conn, r *bufio.Reader, path string) int {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	first, r1 := dial()
	second, r2 := dial()
	if a, b := ask(first, r1, "/v1/status"), ask(second, r2, "/v1/status"); a != 200 || b != 200 {
		t.Fatalf("got %d and %d, want 200", a, b)
	}
	third, r3 := dial()
	if got := ask(third, r3, "/v1/status"); got != 429 {
		t.Errorf("the third connection: got %d, want 429", got)
	}
	// A probe that were refused here would have the server killed for being busy.
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		probe, r := dial()
		_ = probe.SetReadDeadline(time.Now().Add(time.Minute))
		if got := ask(probe, r, path); got != 200 {
			t.Errorf("%s on one connection too many: got %d, want 200", path, got)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("%s on one connection too many: it stays open: %v", path, err)
		}
	}
	if got := ask(first, r1, "/v1/status"); got != 200 {
		t.Errorf("the first connection again: got %d, want 200", got)
	}
	second.Close()
	w.eventually("a place is free", func() bool {
		conn, r := dial()
		defer conn.Close()
		return ask(conn, r, "/v1/status") == 200
	})
	// Far above the bound the answer comes without a look at the request.
	var last net.Conn
	for range 25 {
		last, _ = dial()
	}
	resp, err := http.ReadResponse(bufio.NewReader(last), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

// The streams are bounded apart, and their bound does not reach requests.
func TestMaxStreams(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxStreams = 1 })
	resp := w.stream("/v1/watch?key=a")
	defer resp.Body.Close()
	w.refused(429, "too_many_connections", "GET", "/v1/watch?key=a", "")
	bye := w.want(200, "GET", "/v1/kv/a", "", "Accept", "text/event-stream")
	if !strings.Contains(bye.body, `"code":"too_many_connections"`) {
		t.Errorf("got %q", bye.body)
	}
	w.want(201, "PUT", "/v1/kv/a", "1")
}

// Streams and requests share the descriptors of the process. Without this bound
// a server with many watchers could not open its own files.
func TestMaxFiles(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxFiles = 2 })
	first := w.stream("/v1/watch?key=a")
	defer first.Body.Close()
	w.eventually("the first counts once", func() bool { return w.server.Open() == 1 })
	second := w.stream("/v1/watch?key=b")
	w.refused(429, "too_many_connections", "GET", "/v1/watch?key=c", "")
	w.refused(429, "too_many_connections", "GET", "/v1/kv/a", "")
	second.Body.Close()
	w.eventually("a place is free", func() bool { return w.do("GET", "/v1/kv/a", "").status == 404 })
	w.want(201, "PUT", "/v1/kv/a", "1")
}

// A shortListener has no descriptors for its first connections.
type shortListener struct {
	net.Listener
	short int
}

func (l *shortListener) Accept() (net.Conn, error) {
	if l.short > 0 {
		l.short--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// Without it a moment without descriptors would end the server.
func TestAcceptOutlivesLackOfFiles(t *testing.T) {
	w := newWorld(t, inClear)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go w.server.Serve(&shortListener{ln, 3}) // until the world ends
	resp, err := http.Get("http://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("got %d, want 200", resp.StatusCode)
	}
}

// Each way in which the log can fail has its own meaning for a client: whether
// the write happened, and whether to try again.
func TestLogErrors(t *testing.T) {
	var fail error
	w := newWorld(t)
	w.log.fail = func(context.Context, *kv.Command) error { return fail }
	w.log.barrier = func(context.Context) error { return fail }
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{kv.ErrQueueFull, 503, "queue_full"},
		{kv.ErrNoLeader, 503, "no_leader"},
		{kv.ErrStarting, 503, "starting"},
		{kv.ErrStopping, 503, "stopping"},
		{kv.ErrMemoryFull, 503, "memory_full"},
		{kv.ErrOutcomeUnknown, 504, "outcome_unknown"},
		{kv.ErrDamaged, 500, "data_damaged"},
		{errors.New("secret inside"), 500, "internal"},
	} {
		fail = fmt.Errorf("while testing: %w", c.err)
		r := w.refused(c.status, c.code, "PUT", "/v1/kv/a", "1")
		if (r.header.Get("Retry-After") != "") != (c.status == 503) {
			t.Errorf("%v: Retry-After is %q", c.err, r.header.Get("Retry-After"))
		}
		w.refused(c.status, c.code, "GET", "/v1/kv/a", "")
		w.refused(c.status, c.code, "POST", "/v1/batch", `{"ops":[{"op":"delete","key":"a"}]}`)
		if strings.Contains(r.body, "secret") {
			t.Errorf("the inner error shows outside: %s", r.body)
		}
	}
}

// Until it has caught up a server must not show old state, nor take writes, but
// it must say that it lives.
func TestNotReady(t *testing.T) {
	ready := fmt.Errorf("replaying: %w", kv.ErrStarting)
	w := newWorld(t, func(o *web.Options) { o.Ready = func() error { return ready } })
	w.refused(503, "starting", "PUT", "/v1/kv/a", "1")
	w.refused(503, "starting", "GET", "/v1/kv/a", "")
	w.refused(503, "starting", "GET", "/v1/watch?key=a", "")
	w.refused(503, "starting", "GET", "/readyz", "")
	w.want(200, "GET", "/healthz", "")
	w.want(200, "GET", "/metrics", "")
	if r := w.want(200, "GET", "/v1/status", ""); r.field("ready") != false || r.field("reason") != "starting" {
		t.Errorf("status: %s", r.body)
	}
	bye := w.want(200, "GET", "/v1/watch?key=a", "", "Accept", "text/event-stream")
	if !strings.Contains(bye.body, `"code":"starting"`) {
		t.Errorf("got %q", bye.body)
	}
	ready = nil
	w.want(201, "PUT", "/v1/kv/a", "1")
	w.want(200, "GET", "/readyz", "")
}

// Bytes beyond the limit must never be inflated or kept: the body is stored as
// it was sent, whatever form it claims to be in.
func TestBodiesAreRaw(t *testing.T) {
	w := newWorld(t)
	form := "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n"
	w.want(201, "PUT", "/v1/kv/form", form, "Content-Type", "multipart/form-data; boundary=b")
	w.want(201, "PUT", "/v1/kv/post", "a=b&c=d", "Content-Type", "application/x-www-form-urlencoded")
	w.want(201, "PUT", "/v1/kv/identity", "x", "Content-Encoding", "identity")
	for key, want := range map[string]string{"form": form, "post": "a=b&c=d"} {
		if got := w.want(200, "GET", "/v1/kv/"+key, "").body; got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

// What each limit refuses must show in the metrics, or operators do not find out why
// clients complain.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.want(201, "PUT", "/v1/kv/a", "1")
	w.refused(412, "compare_failed", "PUT", "/v1/kv/a", "1", "If-None-Match", "*")
	w.refused(404, "no_route", "BREW", "/pot", "")
	body := w.want(200, "GET", "/metrics", "").body
	for _, want := range []string{
		`keywatch_http_requests_total{method="PUT",route="key",status="201"} 1`,
		`keywatch_http_requests_total{method="PUT",route="key",status="412"} 1`,
		`keywatch_http_requests_total{method="other",route="none",status="404"} 1`,
		`keywatch_refused_total{code="compare_failed"} 1`,
		`keywatch_refused_total{code="queue_full"} 0`,
		"keywatch_keys 1", "keywatch_http_in_flight 1", "keywatch_streams 0", "keywatch_watch_published_total 1", "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// What is counted as requests begin and end must return to none, however they end,
// or the figure would drift.
func TestRequestsInFlightAreCounted(t *testing.T) {
	w := newWorld(t)
	started, release := make(chan struct{}), make(chan struct{})
	w.log.fail = func(_ context.Context, c *kv.Command) error {
		if c.Ops[0].Key == "slow" {
			close(started)
			<-release
		}
		return nil
	}
	w.want(201, "PUT", "/v1/kv/a", strings.Repeat("x", 1<<20))
	var conns []net.Conn
	for _, text := range []string{
		"PUT /v1/kv/slow HTTP/1.1\r\nHost: " + w.addr + "\r\nContent-Length: 1\r\n\r\nx",
		"GET /v1/kv/a HTTP/1.1\r\nHost: " + w.addr + "\r\n\r\n", // not read
		"GET /v1/watch?key=a HTTP/1.1\r\nHost: " + w.addr + "\r\n\r\n",
		"PUT /v1/kv/half HTTP/1.1\r\nHost: " + w.addr + "\r\nContent-Length: 9\r\n\r\nx",
		"nonsense\r\n\r\n", "",
	} {
		conn, err := w.connect()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	<-started
	inFlight := func(n int) func() bool {
		return func() bool {
			return strings.Contains(w.want(200, "GET", "/metrics", "").body, fmt.Sprintf("\nkeywatch_http_in_flight %d\n", n))
		}
	}
	w.eventually("a request that waits for the log is counted", func() bool {
		return inFlight(2)() || inFlight(3)() // the one that is not read may be written whole
	})
	close(release)
	for _, conn := range conns {
		conn.Close()
	}
	w.want(200, "GET", "/v1/kv/a", "")
	w.eventually("no other request is in flight", inFlight(1))
}
