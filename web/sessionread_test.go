package web_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/web"
)

// agreeing has reads of w wait until one is sent to the channel that it returns for each barrier;
// asked counts the barriers.
func (w *world) agreeing() (agree chan error, asked *atomic.Int32) {
	agree, asked = make(chan error), new(atomic.Int32)
	w.log.barrier = func(ctx context.Context) error {
		asked.Add(1)
		select {
		case err := <-agree:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return agree, asked
}

// If this failed, each read in a cluster would take its connection from its event loop, reads that
// were sent together would wait one after the other, or one would show what was written behind it.
func TestReadsShareABarrier(t *testing.T) {
	w := newWorld(t, inClear)
	agree, asked := w.agreeing()
	conn := w.wire(t)
	conn.send(pipeline[0] + pipeline[2] + pipeline[2] + pipeline[1] + pipeline[2])
	agree <- nil
	for i, want := range []string{"201 Created", "\n\none", "\n\none", "200 OK", "\n\ntwo"} {
		method := "GET"
		if want[0] == '2' {
			method = "PUT"
		}
		if got := conn.answer(method); !strings.Contains(got, want) {
			t.Errorf("answer %d: got %s, want %s", i, got, want)
		}
	}
	conn.send(pipeline[2]) // it came later, and needs another
	agree <- nil
	if got := conn.answer("GET"); !strings.HasSuffix(got, "\n\ntwo") {
		t.Errorf("got %s", got)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("reads waited for %d barriers, want 2", n)
	}
	if n := w.server.FastAnswered(); n != 6 || w.server.Looped() != 1 {
		t.Errorf("event loops answered %d requests and serve %d connections, want 6 and 1", n, w.server.Looped())
	}
}

// If this failed, a read that was sent after another client's write was answered could be told of a
// barrier that began before, and show what was there before the write.
func TestReadDoesNotTakeAnEarlierBarrier(t *testing.T) {
	w := newWorld(t)
	agree, asked := w.agreeing()
	w.write("a", "one")
	conn := w.wire(t)
	conn.send(pipeline[2])
	w.eventually("the first read waits", func() bool { return asked.Load() == 1 })
	w.write("a", "two")
	conn.send(pipeline[2])
	agree <- nil
	conn.answer("GET")
	w.eventually("the second read waits", func() bool { return asked.Load() == 2 })
	w.write("a", "three")
	agree <- nil
	if got := conn.answer("GET"); !strings.HasSuffix(got, "\n\nthree") {
		t.Errorf("got %s", got)
	}
}

// If this failed, a read would wait for other servers without end, or say nothing of why it
// failed, or the connection could not be used any more.
func TestReadsThatAreNotConfirmed(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.RequestTimeout = 20 * time.Millisecond })
	w.agreeing()
	conn := w.wire(t)
	for range 2 {
		conn.send(pipeline[2] + pipeline[0])
		if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 503 ") || !strings.Contains(got, "no_leader") {
			t.Errorf("got %s, want 503 no_leader", got)
		}
		if got := conn.answer("PUT"); !strings.Contains(got, "HTTP/1.1 20") {
			t.Errorf("got %s", got)
		}
	}
	other := newWorld(t)
	agree, _ := other.agreeing()
	conn = other.wire(t)
	conn.send(pipeline[2] + pipeline[2])
	agree <- kv.ErrNoLeader
	for range 2 {
		if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 503 ") || !strings.Contains(got, "no_leader") {
			t.Errorf("got %s, want 503 no_leader", got)
		}
	}
}

// If this failed, a request that a goroutine reads could be told of the barrier of another one that
// used the same record before, and show what was there before an acknowledged write.
func TestBarrierIsOfOneRequest(t *testing.T) {
	w := newWorld(t)
	agree, asked := w.agreeing()
	looped, handed := w.wire(t), w.wire(t)
	handed.send(pipeline[5])
	agree <- nil
	handed.answer("GET")
	for n := int32(2); n < 40; n += 2 {
		for i, conn := range []*wire{looped, handed} {
			conn.send(pipeline[2])
			w.eventually("the read waits", func() bool { return asked.Load() == n+int32(i) })
			agree <- nil
			conn.answer("GET")
		}
	}
}
