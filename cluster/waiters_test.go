package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
)

// open returns a store over a node.
func (w *team) open(id int) *kv.Store {
	s := kv.NewStore(w.state(id), w.node[id], kv.Limits{})
	w.images[id].store.Store(s)
	return s
}

// Trap 19: those who wait for a lock at a server that gets the state of another must go on waiting, or
// have the lock if it has come to them meanwhile.
func TestWaitersGoOnAfterAnInstall(t *testing.T) {
	const waiters = 20
	inTeam(t, keepNothing, func(w *team) {
		leader := w.leader()
		away := 1 + leader%3
		there, here := w.open(leader), w.open(away)
		request := func(owner string, wait time.Duration) lock.Request {
			return lock.Request{Name: "l", TTL: time.Hour, Wait: wait, Owner: owner}
		}
		first, err := lock.Acquire(w.t.Context(), there, request("first", 0))
		if err != nil || first.Outcome != kv.Committed {
			w.t.Fatalf("got %+v, %v", first, err)
		}
		type turn struct {
			owner string
			kv.Result
			err error
		}
		turns := make(chan turn, waiters)
		for i := range waiters {
			owner := fmt.Sprint(i)
			go func() {
				r, err := lock.Acquire(context.Background(), here, request(owner, time.Hour))
				turns <- turn{owner, r, err}
			}()
			for w.state(leader).Stats().LockWaiters <= i {
				time.Sleep(10 * time.Millisecond)
			}
		}
		w.isolate(away, true)
		w.leader()
		if r, err := there.Unlock(w.t.Context(), "l", first.Lease.Token, kv.Idem{}); err != nil || r.Outcome != kv.Committed {
			w.t.Fatalf("got %+v, %v", r, err)
		}
		for i := range 50 {
			w.put(leader, fmt.Sprint("k", i), "v")
		}
		w.checkpoint(leader)
		w.isolate(away, false)
		for i := range waiters {
			next := <-turns
			if next.err != nil || next.Outcome != kv.Committed || next.owner != fmt.Sprint(i) {
				w.t.Fatalf("turn %d: %s got %+v, %v", i, next.owner, next.Result, next.err)
			}
			if i == 0 && w.images[away].installed() != 1 {
				w.t.Errorf("%d installs, want 1", w.images[away].installed())
			}
			if r, err := there.Unlock(w.t.Context(), "l", next.Lease.Token, kv.Idem{}); err != nil || r.Outcome != kv.Committed {
				w.t.Fatalf("turn %d: got %+v, %v", i, r, err)
			}
		}
	})
}
