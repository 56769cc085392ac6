package kv_test

import (
	"fmt"
	"testing"
	"time"

	"keywatch/kv"
)

// If this failed, the first write after an idle hour would wait until all deletions of the last
// busy one are forgotten, or they would never be.
func TestAgedDeletionsAreForgottenInSteps(t *testing.T) {
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{TombstoneAge: time.Minute, DeleteMax: 3500})
	for i := range 3500 {
		if _, err := store.Do(t.Context(), &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: fmt.Sprint("a/", i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, prefix := range []string{"a/1", "a/2", "a/"} { // all keys, in three revisions
		if _, err := store.Do(t.Context(), &kv.Command{Prefix: &prefix}); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int { return store.State().Stats().Tombstones }
	if got := left(); got != 3500 {
		t.Fatalf("%d deletions are remembered, want 3500", got)
	}
	last := left()
	for step := 0; last > 0; step++ {
		if err := log.Advance(100_000); err != nil {
			t.Fatal(err)
		}
		// A step never ends within a revision.
		if now := left(); step > 4 || now >= last || last-now > 2500 {
			t.Fatalf("step %d forgets %d of %d", step, last-now, last)
		}
		last = left()
	}
	if store.State().Stats().Floor != store.State().Position().Rev {
		t.Errorf("the floor is %d, want %d", store.State().Stats().Floor, store.State().Position().Rev)
	}
}

// If this failed, an entry in which most outcomes end would lose the others, or their count.
func TestMostOutcomesEndAtOnce(t *testing.T) {
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{IdemAge: time.Minute, IdemPerCaller: 4})
	put := func(i int) kv.Result {
		t.Helper()
		r, err := store.Do(t.Context(), &kv.Command{
			Ops:  []kv.Op{{Kind: kv.OpPut, Key: "k"}},
			Idem: kv.Idem{Caller: fmt.Sprint("caller", i%2), Key: fmt.Sprint("key", i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for i := range 6 {
		put(i)
	}
	if err := log.Advance(40_000); err != nil {
		t.Fatal(err)
	}
	seventh := put(6)
	if err := log.Advance(40_000); err != nil {
		t.Fatal(err)
	}
	if n := store.State().Stats().IdemRecords; n != 1 {
		t.Errorf("%d outcomes are left, want 1", n)
	}
	if again := put(6); !again.Replayed || again.Rev != seventh.Rev {
		t.Errorf("the seventh again: %+v, want what it was", again)
	}
	for i := range 3 { // its caller has room for three more
		if r := put(8 + 2*i); r.Outcome != kv.Committed || r.Replayed {
			t.Errorf("another of the same caller: %+v", r)
		}
	}
	if r := put(14); r.Outcome != kv.IdemCallerFull {
		t.Errorf("one too many: outcome %v, want %v", r.Outcome, kv.IdemCallerFull)
	}
}

// If this failed, an entry in which half of very many outcomes end would hold every write up
// while all of them are dropped; or one that has ended would still answer, or keep others out.
func TestOutcomesAreDroppedInSteps(t *testing.T) {
	const half, step = 3500, 1000
	store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{IdemAge: time.Minute, IdemMax: 2 * half})
	put := func(i int) kv.Result {
		t.Helper()
		r, err := store.Do(t.Context(), &kv.Command{
			Ops:  []kv.Op{{Kind: kv.OpPut, Key: "k"}},
			Idem: kv.Idem{Caller: "me", Key: fmt.Sprint("key", i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	records := func() int { return store.State().Stats().IdemRecords }
	for i := range 2 * half {
		if i == half {
			if err := log.Advance(40_000); err != nil {
				t.Fatal(err)
			}
		}
		put(i)
	}
	if err := log.Advance(40_000); err != nil { // the first half ends
		t.Fatal(err)
	}
	if n := records(); n != 2*half-step {
		t.Errorf("%d outcomes are left after an entry, want %d", n, 2*half-step)
	}
	if r := put(half - 1); r.Replayed || r.Outcome != kv.Committed { // drops a thousand too
		t.Errorf("one that has ended and is not dropped: %+v", r)
	}
	for _, want := range []int{2*half - 3*step, half + 1} {
		if err := log.Advance(1); err != nil {
			t.Fatal(err)
		}
		if n := records(); n != want {
			t.Errorf("%d outcomes are left, want %d", n, want)
		}
	}
	if again := put(half - 1); !again.Replayed {
		t.Errorf("the one that took the key again is gone: %+v", again)
	}
}
