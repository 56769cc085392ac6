package cluster_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
)

// A key must not end before its TTL has passed since it was put, to the
// nanosecond, and on an idle node must end within 100 ms after.
func TestTTLEndsOnTimeAndNotBefore(t *testing.T) {
	for _, ttl := range []time.Duration{
		time.Millisecond, 1500 * time.Microsecond, 999 * time.Millisecond, 1001 * time.Millisecond, time.Hour,
	} {
		for _, offset := range []time.Duration{0, 1, 500 * time.Microsecond, 999_999} {
			synctest.Test(t, func(t *testing.T) { checkTTL(t, ttl, offset) })
		}
	}
}

func checkTTL(t *testing.T, ttl, offset time.Duration) {
	opts := memory()
	ended := make(ending, 1)
	opts.State = kv.NewState(kv.StateOptions{Presize: 64, Publisher: ended})
	n := open(t, opts)
	time.Sleep(offset)
	sent := time.Now()
	mustPropose(t, n, put("k", "x", ttl))
	if e, _ := opts.State.Get("k"); e == nil {
		t.Fatalf("ttl %v, offset %v: the key is absent at once", ttl, offset)
	}
	lived := (<-ended).Sub(sent)
	if lived < ttl || lived > ttl+100*time.Millisecond {
		t.Errorf("ttl %v, offset %v: the key lived %v", ttl, offset, lived)
	}
	if e, _ := opts.State.Get("k"); e != nil {
		t.Errorf("ttl %v: got %v, want absent", ttl, e)
	}
}

// ending tells when a key expired.
type ending chan time.Time

func (c ending) Publish(events []kv.Event, _ kv.Position) {
	if events[0].Entry.Cause() == "expired" {
		c <- time.Now()
	}
}

func (ending) Reset(kv.Position) {}

// A shorter deadline that comes later must wake the node from its wait for a
// longer one, and a removed one must not keep it ticking.
func TestEarlierDeadlineIsHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		n := open(t, opts)
		mustPropose(t, n, put("long", "x", 10*time.Minute))
		time.Sleep(300 * time.Millisecond)
		mustPropose(t, n, put("short", "x", 20*time.Millisecond))
		time.Sleep(120 * time.Millisecond)
		if e, _ := opts.State.Get("short"); e != nil {
			t.Errorf("short: it is there 120 ms after a TTL of 20 ms")
		}
		if e, _ := opts.State.Get("long"); e == nil {
			t.Errorf("long: it is gone long before its TTL of 10 minutes")
		}
		mustPropose(t, n, put("long", "x", 0))
		time.Sleep(2 * time.Second)
		before := n.Stats().Entries
		time.Sleep(time.Minute)
		if got := n.Stats().Entries; got != before {
			t.Errorf("entries without a deadline: got %d more, want none", got-before)
		}
	})
}

// More keys than one entry may expire must all end in a row.
func TestManyDeadlinesEndInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		opts.Params.ExpireMax = 2
		n := open(t, opts)
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
			mustPropose(t, n, put(key, "x", 50*time.Millisecond))
		}
		time.Sleep(150 * time.Millisecond)
		if got := opts.State.Len(); got != 0 {
			t.Errorf("keys 100 ms after their end: got %d, want 0", got)
		}
	})
}

// The time a server was down must not count, and log time must go on from where
// it stood, whatever the wall clock has done.
func TestDowntimeDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		n, err := cluster.Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.Now(); got != 0 {
			t.Errorf("log time of a new store: got %d, want 0", got)
		}
		mustPropose(t, n, put("k", "x", time.Minute))
		time.Sleep(30*time.Second + 500*time.Millisecond)
		stood := n.Now()
		if stood < 30_500 || stood > 30_600 {
			t.Errorf("log time after 30.5 s: got %d ms", stood)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1000 * time.Hour)
		opts.State = kv.NewState(kv.StateOptions{Presize: 64})
		n = open(t, opts)
		if got := n.Now(); got > stood || got < stood-1100 {
			t.Errorf("log time after a restart: got %d, want that of the last tick before %d", got, stood)
		}
		time.Sleep(29 * time.Second)
		if e, _ := opts.State.Get("k"); e == nil {
			t.Errorf("the key is gone after 59.5 s of a TTL of 60 s")
		}
		time.Sleep(3 * time.Second)
		if e, _ := opts.State.Get("k"); e != nil {
			t.Errorf("the key is there after 62.5 s of a TTL of 60 s")
		}
	})
}

// A restart must find the state that the log tells, with its epoch and revision.
func TestRestartGoesOn(t *testing.T) {
	opts := memory()
	n, err := cluster.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	want := mustPropose(t, n, put("k", "1", 0)).At
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	opts.State = kv.NewState(kv.StateOptions{Presize: 64})
	n = open(t, opts)
	if got := opts.State.Position(); got != want || got.Epoch == 0 {
		t.Errorf("position after a restart: got %v, want %v", got, want)
	}
	r := mustPropose(t, n, put("k", "2", 0))
	if r.Ops[0].Entry.Version != 2 || r.Rev != want.Rev+1 {
		t.Errorf("next write: got %+v, want version 2 at %d", r.Ops[0].Entry, want.Rev+1)
	}
	if _, _, err := kv.NewStore(opts.State, n, kv.Limits{}).Get(context.Background(), "k"); err != nil {
		t.Errorf("get: %v", err)
	}
}
