package cluster_test

import (
	"sync/atomic"
	"testing"

	"keywatch/kv"
	"keywatch/test/gate"
)

// A bell counts how often it was woken.
type bell struct{ rung atomic.Int64 }

func (b *bell) Wake() { b.rung.Add(1) }

// If this failed, a connection would not learn that its writes are durable, or would be woken for
// each of them.
func TestBatchWakesEachConnectionOnce(t *testing.T) {
	g := newDoor(nil)
	opts := memory()
	opts.Log = g
	n := open(t, opts)
	mustPropose(t, n, put("a", "first", 0))
	g.shut()
	begin := func(w kv.Waker, times int) (last kv.Pending) {
		for range times {
			p, err := n.Begin(put("a", "1", 0))
			if err != nil {
				t.Fatal(err)
			}
			if w != nil {
				p.Notify(w)
			}
			last = p
		}
		return last
	}
	first := begin(nil, 1) // is held up: what follows is one batch
	gate.Until(t, func() bool { return n.Stats().Queued == 0 }, "the first command is never written")
	var a, b bell
	begin(&a, 100)
	last := begin(&b, 100)
	if a.rung.Load()+b.rung.Load() != 0 {
		t.Error("woken before the log was written")
	}
	g.reopen(nil)
	<-first.Done()
	<-last.Done()
	gate.Until(t, func() bool { return a.rung.Load() == 1 && b.rung.Load() == 1 }, "want one wake each, got %d and %d", &a, &b)
	last.Notify(&b)
	if got := b.rung.Load(); got != 2 {
		t.Errorf("a result that is known: woken %d times, want 2", got)
	}
}
