package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web"
)

// If this failed, one request that waits for the disk would hold up every other connection of
// its event loop, or a write that ran would not be told what it showed.
func TestLoopWaitsForNoDisk(t *testing.T) {
	w, d, _ := newColdWorld(t)
	reading, release := make(chan struct{}, 2), make(chan struct{})
	wait := func() { reading <- struct{}{}; <-release }
	d.before.Store(&wait)
	batch := `{"ops":[{"op":"put","key":"z","value":"1"},{"op":"get","key":"a"}]}`
	write, read, other := w.wire(t), w.wire(t), w.wire(t)
	write.send(fmt.Sprintf("POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(batch), batch))
	<-reading
	read.send("GET /v1/kv/b HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-reading
	other.send("GET /v1/kv/z HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := other.answer("GET"); !strings.HasSuffix(got, "\n\n1") {
		t.Errorf("beside reads of the disk: got %s", got)
	}
	close(release)
	if got := write.answer("POST"); !strings.Contains(got, coldValue("a")) {
		t.Errorf("the batch: got %s", got)
	}
	if got := read.answer("GET"); !strings.HasSuffix(got, coldValue("b")) {
		t.Errorf("the read: got %s", got)
	}
}

// If this failed, a write whose log hangs would be waited for without end.
func TestLoopGivesWritesUp(t *testing.T) {
	w := newWorld(t, inClear, func(o *web.Options) { o.RequestTimeout = 10 * time.Millisecond })
	w.log.fail = func(ctx context.Context, _ *kv.Command) error { <-ctx.Done(); return ctx.Err() }
	conn := w.wire(t)
	conn.send(pipeline[0])
	if got := conn.answer("PUT"); !strings.Contains(got, "HTTP/1.1 504 ") || !strings.Contains(got, "outcome_unknown") {
		t.Errorf("got %s, want 504 outcome_unknown", got)
	}
	if n := w.server.FastAnswered(); n != 1 {
		t.Errorf("event loops answered %d requests, want 1", n)
	}
}

// If this failed, a request that an event loop passes on would be charged twice.
func TestRequestsThatArePassedOnAreChargedOnce(t *testing.T) {
	rates, err := ratelimit.ParseRates("reads=1/h:2")
	if err != nil {
		t.Fatal(err)
	}
	// What is on disk is not read on an event loop.
	w, _, _ := newColdWorld(t, func(o *web.Options) { o.Limiter, o.RateLoopback = ratelimit.New(rates), true })
	for i, want := range []string{"200 OK", "200 OK", "429 Too"} {
		conn := w.wire(t)
		conn.send(fmt.Sprintf("GET /v1/kv/%c HTTP/1.1\r\nHost: localhost\r\n\r\n", 'a'+i))
		if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 "+want) || !strings.Contains(got, "Ratelimit: ") {
			t.Errorf("request %d: got %s, want %s", i+1, got, want)
		}
	}
}
