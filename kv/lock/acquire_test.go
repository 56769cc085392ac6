package lock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/kv/lock"
	"keywatch/persist/wal"
)

// inBubble runs f with a store whose time is its own.
func inBubble(t *testing.T, f func(t *testing.T, store *kv.Store)) {
	synctest.Test(t, func(t *testing.T) {
		state := kv.NewState(kv.StateOptions{Presize: 64})
		n, err := cluster.Open(t.Context(), cluster.Options{
			Log: wal.NewMemLog(), Stable: new(wal.MemStable), Checkpoints: cluster.MemoryCheckpoints{}, QuickLog: true, State: state,
		})
		if err != nil {
			t.Fatal(err)
		}
		f(t, kv.NewStore(state, n, kv.Limits{}))
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}

func request(owner string, wait time.Duration) lock.Request {
	return lock.Request{Name: "l", TTL: 2 * time.Second, Wait: wait, Owner: owner}
}

func acquire(t *testing.T, store *kv.Store, q lock.Request, want kv.Outcome) kv.Result {
	t.Helper()
	r, err := lock.Acquire(t.Context(), store, q)
	if err != nil || r.Outcome != want {
		t.Fatalf("%s: got %+v, %v, want outcome %d", q.Owner, r, err, want)
	}
	return r
}

// If this failed, a place in the queue would end while its owner waits, or a lock
// would come to it with less than its TTL.
func TestWaitOutlivesThePlacesLease(t *testing.T) {
	inBubble(t, func(t *testing.T, store *kv.Store) {
		first := acquire(t, store, request("first", 0), kv.Committed)
		until := time.Now().Add(4*time.Minute + 700*time.Millisecond)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for time.Now().Before(until) {
				time.Sleep(time.Second)
				if r, err := store.KeepLock(t.Context(), "l", first.Lease.Token); err != nil || r.Outcome != kv.Committed {
					t.Errorf("keep: got %+v, %v", r, err)
				}
			}
		}()
		next := acquire(t, store, request("next", 5*time.Minute), kv.Committed)
		if waited := time.Until(until); waited > 0 || next.Lease.Token <= first.Lease.Token {
			t.Errorf("got %+v %v before the holder let go", next.Lease, waited)
		}
		if left := next.Lease.Remaining(next.Time); left < 1900 || left > 2000 {
			t.Errorf("the lock came with %d ms of 2000", left)
		}
		<-done
	})
}

// If this failed, a wait would end early, late, or leave its place behind.
func TestWaitEndsInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, store *kv.Store) {
		long := request("first", 0)
		long.TTL = time.Hour
		acquire(t, store, long, kv.Committed)
		began := time.Now()
		r := acquire(t, store, request("next", 90*time.Second), kv.LockHeld)
		if took := time.Since(began); took != 90*time.Second || r.Current == nil || r.Current.Value() != "first" {
			t.Errorf("got %+v after %v, want the holder after 90 s", r, took)
		}
		if s := store.State().Stats(); s.LockWaiters != 0 || s.Leases != 1 {
			t.Errorf("left over: %+v", s)
		}
	})
}

// If this failed, a caller who leaves would keep its place, or one who may
// return would lose it, or find that it has two.
func TestLeavingAndComingBack(t *testing.T) {
	inBubble(t, func(t *testing.T, store *kv.Store) {
		holder := request("first", 0)
		holder.TTL = time.Hour
		held := acquire(t, store, holder, kv.Committed)
		for _, key := range []string{"", "k"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			q := request("next", time.Minute)
			q.Idem = kv.Idem{Caller: "c", Key: key, Fingerprint: [16]byte{1}}
			r, err := lock.Acquire(ctx, store, q)
			cancel()
			places := map[string]int{"": 0, "k": 1}[key]
			if !errors.Is(err, context.DeadlineExceeded) || r.Lease == nil || store.State().Stats().LockWaiters != places {
				t.Errorf("key %q: got %+v, %v and %+v, want %d places", key, r, err, store.State().Stats(), places)
			}
		}
		q := request("next", time.Minute)
		q.Idem = kv.Idem{Caller: "c", Key: "k", Fingerprint: [16]byte{1}}
		time.AfterFunc(5*time.Second, func() { _, _ = store.Unlock(t.Context(), "l", held.Lease.Token, kv.Idem{}) })
		got := acquire(t, store, q, kv.Committed)
		again := acquire(t, store, q, kv.Committed)
		if again.Lease.ID != got.Lease.ID || again.Lease.Token != got.Lease.Token || !again.Replayed {
			t.Errorf("asked again: got %+v, want %+v", again.Lease, got.Lease)
		}
		time.Sleep(3 * time.Second) // it runs out
		acquire(t, store, q, kv.LockLost)
		// A place that is not kept alive expires too.
		acquire(t, store, holder, kv.Committed)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		q.Idem.Key = "k2"
		_, _ = lock.Acquire(ctx, store, q)
		time.Sleep(kv.WaitTTL + time.Second)
		acquire(t, store, q, kv.LockLost)
	})
}

// If this failed, holders who die one after the other would not let everybody in,
// in order, each for the TTL of the one before.
func TestHoldersWhoDie(t *testing.T) {
	inBubble(t, func(t *testing.T, store *kv.Store) {
		began := time.Now()
		type turn struct {
			owner string
			at    time.Duration
		}
		turns := make(chan turn, 10)
		var want []string
		for i := range 10 {
			owner := fmt.Sprint(i)
			want = append(want, owner)
			go func() {
				acquire(t, store, request(owner, 5*time.Minute), kv.Committed)
				turns <- turn{owner, time.Since(began)}
			}()
			synctest.Wait()
		}
		var order []string
		for i := range 10 {
			got := <-turns
			order = append(order, got.owner)
			due := time.Duration(i) * 2 * time.Second
			if got.at < due || got.at > due+time.Duration(i)*100*time.Millisecond {
				t.Errorf("turn %d came after %v, want %v or little more", i, got.at, due)
			}
		}
		if !slices.Equal(order, want) {
			t.Errorf("order: got %v, want %v", order, want)
		}
		if s := store.State().Stats(); s.LockWakes != 9 {
			t.Errorf("%d were woken, want 9", s.LockWakes)
		}
	})
}
