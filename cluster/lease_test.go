package cluster_test

import (
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
)

// leaseEnding tells when a key went with its lease.
type leaseEnding chan time.Time

func (c leaseEnding) Publish(events []kv.Event, _ kv.Position) {
	if events[0].Entry.Cause() == "lease" {
		c <- time.Now()
	}
}

func (leaseEnding) Reset(kv.Position) {}

// A lease must live for its TTL after the last renewal, to the nanosecond, and on
// an idle node must end within 100 ms after.
func TestLeaseEndsOnTimeAndNotBefore(t *testing.T) {
	for _, ttl := range []time.Duration{time.Millisecond, 1500 * time.Microsecond, 999 * time.Millisecond, time.Hour} {
		for _, renewals := range []int{0, 1, 20} {
			synctest.Test(t, func(t *testing.T) { checkLease(t, ttl, renewals) })
		}
	}
}

func checkLease(t *testing.T, ttl time.Duration, renewals int) {
	opts := memory()
	ended := make(leaseEnding, 1)
	opts.State = kv.NewState(kv.StateOptions{Presize: 64, Publisher: ended})
	store := kv.NewStore(opts.State, open(t, opts), kv.Limits{})
	sent := time.Now()
	r, err := store.Grant(t.Context(), "", ttl, kv.Idem{})
	if err != nil || r.Outcome != kv.Committed {
		t.Fatalf("grant: got %+v, %v", r, err)
	}
	c := put("k", "x", 0)
	c.Ops[0].Lease = r.Lease.ID
	if _, err := store.Do(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range renewals {
		time.Sleep(ttl * 9 / 10)
		sent = time.Now()
		if r, err := store.KeepAlive(t.Context(), r.Lease.ID); err != nil || r.Outcome != kv.Committed {
			t.Fatalf("ttl %v: renewal: got %+v, %v", ttl, r, err)
		}
	}
	lived := (<-ended).Sub(sent)
	if lived < ttl || lived > ttl+100*time.Millisecond {
		t.Errorf("ttl %v, %d renewals: it lived %v after the last", ttl, renewals, lived)
	}
	if again, err := store.KeepAlive(t.Context(), r.Lease.ID); err != nil || again.Outcome != kv.LeaseEnded {
		t.Errorf("renewal after the end: got %+v, %v, want %d", again, err, kv.LeaseEnded)
	}
}

// The time a server was down must not count against a lease, and what the log
// tells must be what the lease was.
func TestDowntimeDoesNotCountForLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		n, err := cluster.Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		r, err := kv.NewStore(opts.State, n, kv.Limits{}).Grant(t.Context(), "", time.Minute, kv.Idem{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1000 * time.Hour)
		opts.State = kv.NewState(kv.StateOptions{Presize: 64})
		open(t, opts)
		time.Sleep(29 * time.Second)
		if _, ok := opts.State.Lease(r.Lease.ID); !ok {
			t.Errorf("the lease is gone after 59 s of a TTL of 60 s")
		}
		time.Sleep(3 * time.Second)
		if _, ok := opts.State.Lease(r.Lease.ID); ok {
			t.Errorf("the lease is there after 62 s of a TTL of 60 s")
		}
	})
}
