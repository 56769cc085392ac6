package kv_test

import (
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// openDirect returns a store without a queue or a disk, and its log.
func openDirect(t testing.TB, opts kv.StateOptions, params kv.Params) (*kv.Store, *kvtest.Direct) {
	t.Helper()
	state := kv.NewState(opts)
	log, err := kvtest.NewDirect(state, 7, params)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return kv.NewStore(state, log, kv.Limits{}), log
}

// A store over the bare state machine must pass the conformance suite.
func TestStoreConforms(t *testing.T) {
	kvtest.Suite(t, func(t *testing.T) kvtest.Store {
		store, _ := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
		return kvtest.Wrap(store)
	})
}

// A still store's time passes only when the suite says so.
type still struct {
	kvtest.Coordinator
	log *kvtest.Direct
}

// Pass implements kvtest.Passer.
func (s still) Pass(d time.Duration) error { return s.log.Advance(d.Milliseconds()) }

// A store over the bare state machine must do with leases and locks what every
// other does.
func TestStoreCoordinates(t *testing.T) {
	kvtest.CoordinatorSuite(t, func(t *testing.T) kvtest.Coordinator {
		store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
		return still{kvtest.Coordinate(store), log}
	})
}

// A transaction that watched an absent key would run although the key was created and deleted
// meanwhile, or one that rests on what was forgotten would.
func TestUnchangedSince(t *testing.T) {
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{TombstoneAge: time.Minute})
	do := func(c *kv.Command) kv.Result {
		t.Helper()
		r, err := store.Do(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	write := func(op kv.Op) kv.Rev { return do(&kv.Command{Ops: []kv.Op{op}}).Rev }
	want := func(what, key string, since kv.Rev, want kv.Outcome) {
		t.Helper()
		checks := []kv.Check{{Kind: kv.CheckUnchanged, Key: key, N: uint64(since)}}
		if got := do(&kv.Command{Checks: checks, Ops: []kv.Op{kvtest.Get(key)}}).Outcome; got != want {
			t.Errorf("%s, of a snapshot: got %d, want %d", what, got, want)
		}
		if got := do(&kv.Command{Checks: checks, Ops: []kv.Op{kvtest.Put("done", "1")}}).Outcome; got != want {
			t.Errorf("%s: got %d, want %d", what, got, want)
		}
	}
	before := write(kvtest.Put("other", "1"))
	want("a key that never was", "a", before, kv.Committed)
	created := write(kvtest.Put("a", "1"))
	want("created since", "a", before, kv.CheckFailed)
	want("unchanged since", "a", created, kv.Committed)
	deleted := write(kvtest.Delete("a"))
	want("created and deleted since", "a", before, kv.CheckFailed)
	want("absent since", "a", deleted, kv.Committed)
	if err := log.Advance(time.Hour.Milliseconds()); err != nil {
		t.Fatal(err)
	}
	want("its deletion is forgotten", "a", before, kv.CheckFailed)
	want("absent since a deletion that is forgotten", "a", deleted, kv.Committed)
}

// Watchers that reconnect ask for this before they read history: a wrong no
// would be a gap.
func TestChanged(t *testing.T) {
	s := kv.NewState(kv.StateOptions{})
	var index uint64
	do := func(now int64, c *kv.Command) kv.Rev {
		var e kv.EntryBuilder
		e.Add(c)
		index++
		r, err := s.Apply(index, 1, e.Finish(now))
		if err != nil {
			t.Fatal(err)
		}
		return r[0].Rev
	}
	put := func(key string) *kv.Command {
		return &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte("v")}}}
	}
	first := do(0, put("a"))
	second := do(0, put("b"))
	gone := do(0, &kv.Command{Ops: []kv.Op{{Kind: kv.OpDelete, Key: "a"}}})
	for _, c := range []struct {
		key  string
		rev  kv.Rev
		want bool
	}{
		{"a", 0, true}, {"a", first, true}, {"a", second, true}, {"a", gone, false},
		{"b", first, true}, {"b", second, false}, {"b", gone, false},
		{"never", 0, false}, {"never", gone, false},
	} {
		if got := s.Changed(c.key, c.rev); got != c.want {
			t.Errorf("%q after %d: got %v, want %v", c.key, c.rev, got, c.want)
		}
	}
	// Once the deletion is forgotten, so is which key it was.
	do(int64(2*time.Hour/time.Millisecond), put("c"))
	for _, key := range []string{"a", "never"} {
		if !s.Changed(key, second) {
			t.Errorf("%q after %d, whose deletions are forgotten: got false, want true", key, second)
		}
		if s.Changed(key, gone) {
			t.Errorf("%q after %d: got true, want false", key, gone)
		}
	}
}
