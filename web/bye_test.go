package web_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/watch"
	"keywatch/web"
)

// busy are servers that refuse a second watch, or any, for a while.
var busy = []struct {
	code   string
	status int
	first  bool // a watch is let in before
	change func(t *testing.T, o *web.Options)
}{
	{"too_many_connections", 429, true, func(_ *testing.T, o *web.Options) { o.MaxStreams = 1 }},
	{"too_many_watches", 429, true, func(t *testing.T, o *web.Options) {
		o.Hub = watch.New(watch.Options{MaxWatches: 1})
		t.Cleanup(o.Hub.Close)
		o.Hub.Bind(o.Store.State())
		o.Hub.Reset(o.Store.State().Position())
	}},
	{"rate_limited", 429, true, func(_ *testing.T, o *web.Options) {
		trustLoopback(o)
		o.Limiter = ratelimit.New(ratelimit.Options{Watches: ratelimit.Rate{PerSecond: 0.001, Burst: 1}})
	}},
	{"starting", 503, false, func(_ *testing.T, o *web.Options) { o.Ready = func() error { return kv.ErrStarting } }},
	{"stopping", 503, false, func(_ *testing.T, o *web.Options) { o.Ready = func() error { return kv.ErrStopping } }},
}

// An EventSource sees neither status nor headers and gives up for good on
// anything but 200. Without this it would never reconnect to a server that was
// busy for a moment; and all other clients would take a refusal for an answer.
func TestByeInsteadOfRefusal(t *testing.T) {
	for _, c := range busy {
		t.Run(c.code, func(t *testing.T) {
			w := newWorld(t, func(o *web.Options) { c.change(t, o) })
			if c.first {
				defer w.stream("/v1/watch?key=a", visitor...).Body.Close()
			}
			w.wantByes(c.code)
			w.wantRefused(c.status, c.code)
		})
	}
}

// visitor is a caller that limits apply to.
var visitor = []string{"X-Forwarded-For", "192.0.2.7"}

// wantByes checks the goodbyes that an EventSource gets.
func (w *world) wantByes(code string) {
	w.t.Helper()
	for path, event := range map[string]string{
		"/v1/watch?key=a": "event: bye\n", "/v1/kv/a": "event: bye\n", "/v1/watch?key=a&named=0": "", "/v1/watch?prefix=&named=1": "event: bye\n",
	} {
		r := w.want(200, "GET", path, "", append(visitor, "Accept", "text/event-stream")...)
		form := regexp.MustCompile(`^retry: (\d+)\n` + event + `data: ({"type":"bye","code":"` + code + `","retry_ms":(\d+)})\n\n$`)
		m := form.FindStringSubmatch(r.body)
		if m == nil || m[1] != m[3] || len(m[1]) < 4 {
			w.t.Errorf("%s: got %q", path, r.body)
		} else if !json.Valid([]byte(m[2])) {
			w.t.Errorf("%s: %s is no JSON", path, m[2])
		}
		if got := r.header.Get("Content-Type"); got != "text/event-stream" || r.header.Get("Cache-Control") != "no-store, no-transform" {
			w.t.Errorf("%s: got %v", path, r.header)
		}
	}
}

// wantRefused checks that who can see a status gets one.
func (w *world) wantRefused(status int, code string) {
	w.t.Helper()
	for _, accept := range []string{"application/x-ndjson", "text/event-stream, */*", "text/event-stream;q=1", "*/*"} {
		r := w.refused(status, code, "GET", "/v1/watch?key=a", "", append(visitor, "Accept", accept)...)
		if r.header.Get("Retry-After") == "" {
			w.t.Errorf("%s: there is no Retry-After", accept)
		}
	}
	w.refused(status, code, "POST", "/v1/watch", `{"keys":["a"]}`, append(visitor, "Accept", "text/event-stream")...)
}

// What is wrong with a request stays wrong: an EventSource that reconnects would
// ask the same for ever.
func TestNoByeForWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	sse := []string{"Accept", "text/event-stream"}
	w.refused(400, "bad_key", "GET", "/v1/watch?key=a//b", "", sse...)
	w.refused(400, "bad_parameter", "GET", "/v1/watch?key=a&named=x", "", sse...)
	w.refused(403, "origin_not_allowed", "GET", "/v1/watch?key=a", "", append(sse, "Origin", "http://evil.example")...)
	w.refused(404, "no_route", "GET", "/v1/nothing", "", sse...)
}

// Without it an EventSource that comes when all connections are in use would give
// up for good.
func TestByeWhereConnectionsAreTaken(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxConnections = 2 })
	for range 2 {
		w.tail("/healthz") // keeps its connection
	}
	conn, err := w.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := ask(t, conn, "GET /v1/watch?key=a HTTP/1.1", "Host: "+w.addr, "Accept: text/event-stream")
	if got := s.block(); s.resp.StatusCode != 200 || !strings.Contains(got, "event: bye\n") || !strings.Contains(got, `"too_many_connections"`) {
		t.Errorf("got %d %q", s.resp.StatusCode, got)
	}
}
