package kv_test

import (
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// If this failed, what changes leases or idempotency records alone would never
// bring a checkpoint about, or time alone would bring them about for ever.
func TestDirtyKnowsAllThatACheckpointHolds(t *testing.T) {
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
	state := store.State()
	dirty := func(when string, want bool) {
		t.Helper()
		if got := state.Stats().Dirty; got != want {
			t.Errorf("%s: dirty is %v, want %v", when, got, want)
		}
	}
	freeze := func() *kv.Checkpoint {
		t.Helper()
		c, err := state.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	dirty("at first", false)
	granted, err := store.Grant(t.Context(), "me", time.Hour, kv.Idem{})
	if err != nil {
		t.Fatal(err)
	}
	id := granted.Lease.ID
	dirty("after a grant", true)
	freeze().Abort()
	dirty("after a checkpoint that failed", true)
	for _, c := range []struct {
		what    string
		command *kv.Command
	}{
		{"a renewal", &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}}},
		{"a refusal that is remembered", &kv.Command{
			Checks: []kv.Check{kvtest.Value("none", "x")}, Ops: []kv.Op{kvtest.Put("a", "1")},
			Idem: kv.Idem{Caller: "me", Key: "k"},
		}},
		{"a put", &kv.Command{Ops: []kv.Op{kvtest.Put("a", "1")}}},
		{"the end of a lease", &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: id}}},
	} {
		freeze().Commit()
		dirty("before "+c.what, false)
		running := freeze()
		if _, err := store.Do(t.Context(), c.command); err != nil {
			t.Fatal(err)
		}
		running.Commit()
		dirty(c.what+" while a checkpoint runs", true)
	}
	freeze().Commit()
	if err := log.Advance(1000); err != nil {
		t.Fatal(err)
	}
	dirty("after a tick", false)
	if _, err := store.Grant(t.Context(), "me", time.Second, kv.Idem{}); err != nil {
		t.Fatal(err)
	}
	freeze().Commit()
	if err := log.Advance(2000); err != nil {
		t.Fatal(err)
	}
	dirty("after a lease has run out", true)
}

// If this failed, every start would be followed by a checkpoint of nothing new.
func TestLoadedStateIsNotDirty(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
	if _, err := store.Grant(t.Context(), "me", time.Hour, kv.Idem{}); err != nil {
		t.Fatal(err)
	}
	c, err := store.State().Freeze()
	if err != nil {
		t.Fatal(err)
	}
	loaded := kv.NewState(kv.StateOptions{Presize: 64})
	l := loaded.Load(c.Meta())
	for id, b := range c.Leases() {
		if err := l.AddLease(id, b); err != nil {
			t.Fatal(err)
		}
	}
	c.Commit()
	if err := l.Done(); err != nil {
		t.Fatal(err)
	}
	if s := loaded.Stats(); s.Dirty || s.Leases != 1 {
		t.Errorf("got %d leases, dirty %v, want one and nothing to write", s.Leases, s.Dirty)
	}
}

// If this failed, an idle server would count memory against its limit that a checkpoint has
// given free: that of keys which were deleted and forgotten.
func TestCheckpointCountsWhatItLetsGo(t *testing.T) {
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{TombstoneAge: time.Second})
	state := store.State()
	commit := func() {
		t.Helper()
		c, err := state.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		c.Commit()
	}
	for _, op := range []kv.Op{kvtest.Put("a", "1"), {Kind: kv.OpDelete, Key: "a"}} {
		if _, err := store.Do(t.Context(), &kv.Command{Ops: []kv.Op{op}}); err != nil {
			t.Fatal(err)
		}
		commit()
	}
	if err := log.Advance(5000); err != nil {
		t.Fatal(err)
	}
	if state.Used() == 0 {
		t.Fatal("nothing is used by a key that a record on disk still names: the test tests nothing")
	}
	commit()
	if n := state.Used(); n != 0 {
		t.Errorf("%d bytes are used after the last key was forgotten, want 0", n)
	}
}
