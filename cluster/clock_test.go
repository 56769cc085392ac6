package cluster_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster"
	"keywatch/cluster/core"
	"keywatch/kv"
	"keywatch/persist/wal"
)

// A process that does not run for longer than a TTL must not end, once it runs
// again, what no client could keep alive meanwhile: neither a key, nor a lease whose
// owner is there.
func TestPauseDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		var pause atomic.Int64
		opts.Room = func() error { // the goroutine that has the clock beat asks
			time.Sleep(time.Duration(pause.Swap(0)))
			return nil
		}
		n := open(t, opts)
		store := kv.NewStore(opts.State, n, kv.Limits{})
		lease, err := store.Grant(t.Context(), "", 3*time.Second, kv.Idem{})
		if err != nil {
			t.Fatal(err)
		}
		mustPropose(t, n, put("k", "x", 3*time.Second))
		time.Sleep(1500 * time.Millisecond)
		pause.Store(int64(time.Hour))
		time.Sleep(time.Hour + 100*time.Millisecond)
		if pause.Load() != 0 {
			t.Fatal("there was no pause")
		}
		if r, err := store.KeepAlive(t.Context(), lease.Lease.ID); err != nil || r.Outcome != kv.Committed {
			t.Errorf("renewing a lease of 3 s after 1.6 s and a pause: got %+v, %v", r, err)
		}
		if e, _ := opts.State.Get("k"); e == nil {
			t.Error("a key with a TTL of 3 s is gone after 1.6 s and a pause")
		}
		time.Sleep(1700 * time.Millisecond)
		if e, _ := opts.State.Get("k"); e != nil {
			t.Error("a key with a TTL of 3 s is there after 3.3 s and a pause")
		}
	})
}

// A hanging is a log whose next write takes as long as it says.
type hanging struct {
	core.Log
	next atomic.Int64
}

// Append implements core.Log.
func (h *hanging) Append(entries ...*wal.Entry) error {
	time.Sleep(time.Duration(h.next.Swap(0)))
	return h.Log.Append(entries...)
}

// While the log hangs, renewals wait behind it: the entry that brings them must not
// end first what they renew.
func TestHangingLogEndsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		log := &hanging{Log: opts.Log}
		opts.Log = log
		n := open(t, opts)
		store := kv.NewStore(opts.State, n, kv.Limits{})
		lease, err := store.Grant(t.Context(), "", 2*time.Second, kv.Idem{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		log.next.Store(int64(30 * time.Second))
		hung := make(chan struct{})
		go func() {
			defer close(hung)
			if _, err := n.Propose(context.Background(), put("k", "x", 0)); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(500 * time.Millisecond)
		if r, err := store.KeepAlive(t.Context(), lease.Lease.ID); err != nil || r.Outcome != kv.Committed {
			t.Errorf("renewing a lease of 2 s after 1 s, while the log hung: got %+v, %v", r, err)
		}
		<-hung
		time.Sleep(1900 * time.Millisecond)
		if _, ok := opts.State.Lease(lease.Lease.ID); !ok {
			t.Error("the lease has ended within its TTL")
		}
		time.Sleep(300 * time.Millisecond)
		if _, ok := opts.State.Lease(lease.Lease.ID); ok {
			t.Error("the lease exists 2.2 s after its last renewal")
		}
	})
}

// Log time must keep up with the time that passes, even if it is asked in between.
func TestLogTimeKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, cluster.Options(memory()))
		for range 1000 {
			time.Sleep(33*time.Millisecond + 333*time.Microsecond)
			n.Now()
		}
		if got := n.Now(); got < 33_333-1 || got > 33_333 {
			t.Errorf("log time after 33.333 s: got %d ms", got)
		}
	})
}
