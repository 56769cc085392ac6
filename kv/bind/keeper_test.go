package bind_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/kv/bind"
	"keywatch/persist/wal"
)

const ttl = 3 * time.Second

// A world is a keeper and a store whose time is its own.
type world struct {
	*testing.T
	store  *kv.Store
	node   *cluster.Node
	keeper *bind.Keeper
	// full is how many renewals the log refuses.
	full atomic.Int64
	// slow is how long the log takes to say that a renewal was applied.
	slow atomic.Int64
}

func inBubble(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t}
		state := kv.NewState(kv.StateOptions{Presize: 64})
		n, err := cluster.Open(t.Context(), cluster.Options{
			Log: wal.NewMemLog(), Stable: new(wal.MemStable), Checkpoints: cluster.MemoryCheckpoints{}, QuickLog: true, State: state,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.node, w.store = n, kv.NewStore(state, choosy{n, w}, kv.Limits{})
		w.keeper = bind.New(w.store)
		f(w)
		w.keeper.Close(t.Context())
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}

// choosy is a log that refuses what is begun, or is slow to answer, as its world
// says.
type choosy struct {
	*cluster.Node
	w *world
}

func (c choosy) Begin(command *kv.Command) (kv.Pending, error) {
	if c.w.full.Add(-1) >= 0 {
		return nil, kv.ErrQueueFull
	}
	p, err := c.Node.Begin(command)
	if slow := time.Duration(c.w.slow.Load()); slow > 0 && err == nil {
		done := make(chan struct{})
		time.AfterFunc(slow, func() {
			<-p.Done()
			close(done)
		})
		return late{p, done}, nil
	}
	return p, err
}

// late is a command that was applied before it says so.
type late struct {
	kv.Pending
	done chan struct{}
}

func (l late) Done() <-chan struct{} { return l.done }
func (l late) Notify(w kv.Waker)     { go func() { <-l.done; w.Wake() }() }

// grant begins a lease and binds it to the owners.
func (w *world) grant(owners ...bind.Owner) kv.LeaseID {
	w.Helper()
	r, err := w.store.Grant(w.Context(), "me", ttl, kv.Idem{})
	if err != nil || r.Outcome != kv.Committed {
		w.Fatalf("grant: got %+v, %v", r, err)
	}
	for _, o := range owners {
		w.keeper.Bind(o, r.Lease.ID, ttl)
	}
	return r.Lease.ID
}

func (w *world) lives(id kv.LeaseID) bool {
	_, lives := w.store.State().Lease(id)
	return lives
}

// livesFor checks that a lease ends when d has passed, or little later.
func (w *world) livesFor(id kv.LeaseID, d time.Duration) {
	w.Helper()
	time.Sleep(d)
	if !w.lives(id) {
		w.Errorf("the lease has ended before %v were over", d)
	}
	time.Sleep(100 * time.Millisecond)
	if w.lives(id) {
		w.Errorf("the lease lives %v and 100 ms after", d)
	}
}

// If this failed, a lease would end although its owner is there, or before its
// whole TTL has passed since the owner went, or would live on.
func TestLivesWithItsOwnerAndItsTTLAfter(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 899 * time.Millisecond, time.Second, 10*time.Minute + 1234567} {
		inBubble(t, func(w *world) {
			id := w.grant("socket")
			time.Sleep(after)
			if !w.lives(id) {
				w.Fatalf("the lease has ended within %v", after)
			}
			w.keeper.Release("socket")
			w.livesFor(id, ttl)
			if n, _ := w.keeper.Stats(); n != 0 {
				w.Errorf("%d leases are left", n)
			}
		})
	}
}

// If this failed, a lease could not be attached to another socket, or one
// socket that goes would take it from another.
func TestOwnersComeAndGo(t *testing.T) {
	inBubble(t, func(w *world) {
		id := w.grant("first", "second")
		w.keeper.Bind("second", id, ttl) // twice is once
		time.Sleep(time.Minute)
		w.keeper.Release("first")
		time.Sleep(time.Minute)
		w.keeper.Unbind("second", id)
		time.Sleep(2 * time.Second)
		w.keeper.Bind("third", id, ttl)
		w.keeper.Release("second")
		time.Sleep(time.Minute)
		if !w.lives(id) {
			w.Error("the lease has ended under its third owner")
		}
		w.keeper.Unbind("third", id)
		w.keeper.Unbind("third", id)
		w.livesFor(id, ttl)
	})
}

// If this failed, what was ended by a request would be renewed for ever.
func TestEndedLeaseIsForgotten(t *testing.T) {
	inBubble(t, func(w *world) {
		id := w.grant("a", "b")
		if _, err := w.store.Revoke(w.Context(), id, kv.Idem{}); err != nil {
			w.Fatal(err)
		}
		time.Sleep(ttl)
		_, renewed := w.keeper.Stats()
		time.Sleep(time.Minute)
		if n, after := w.keeper.Stats(); n != 0 || after != renewed {
			w.Errorf("%d leases are bound, and renewals went from %d to %d", n, renewed, after)
		}
		w.keeper.Release("a")
		w.keeper.Release("b")
	})
}

// If this failed, each renewal would cost a log entry of its own.
func TestRenewalsShareEntries(t *testing.T) {
	inBubble(t, func(w *world) {
		const leases = 2000
		for range leases {
			w.grant("socket")
			time.Sleep(200 * time.Microsecond)
		}
		time.Sleep(time.Second)
		_, before := w.keeper.Stats()
		entries := w.node.Stats().Entries
		time.Sleep(10 * time.Second)
		_, after := w.keeper.Stats()
		renewed, entries := after-before, w.node.Stats().Entries-entries
		if renewed < 10*leases || renewed > 13*leases || entries > renewed/10 {
			w.Errorf("%d renewals of %d leases in 10 s took %d entries", renewed, leases, entries)
		}
	})
}

// If this failed, a log that is full for a moment would end leases.
func TestRefusedRenewalIsTriedAgain(t *testing.T) {
	inBubble(t, func(w *world) {
		id := w.grant("socket")
		w.full.Store(3)
		time.Sleep(time.Minute)
		if !w.lives(id) || w.full.Load() > 0 {
			w.Errorf("the lease lives: %v, with %d refusals left", w.lives(id), w.full.Load())
		}
	})
}

// If this failed, an owner that goes while a renewal is under way would leave its
// lease with less than the TTL.
func TestReleaseDuringARenewal(t *testing.T) {
	inBubble(t, func(w *world) {
		id := w.grant("socket")
		w.slow.Store(int64(500 * time.Millisecond))
		time.Sleep(1200 * time.Millisecond) // it began after 1 s, or a bit earlier
		w.keeper.Release("socket")
		time.Sleep(ttl)
		if !w.lives(id) {
			w.Error("the lease has ended within its TTL")
		}
		time.Sleep(600 * time.Millisecond)
		if n, _ := w.keeper.Stats(); n != 0 || w.lives(id) {
			w.Errorf("%d leases are bound, and it lives: %v", n, w.lives(id))
		}
	})
}

// If this failed, a server that stops would leave leases with less than their
// TTL, or would not stop while the log hangs.
func TestCloseRenewsWhatWasReleased(t *testing.T) {
	for range 20 { // what the keeper hears of first is chance
		closeAfterRelease(t)
	}
}

func closeAfterRelease(t *testing.T) {
	inBubble(t, func(w *world) {
		id := w.grant("socket")
		time.Sleep(900 * time.Millisecond)
		w.keeper.Release("socket")
		w.keeper.Close(w.Context())
		w.livesFor(id, ttl)
		over, cancel := context.WithCancel(w.Context())
		cancel()
		w.keeper.Close(over)
	})
}
