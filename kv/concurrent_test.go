package kv_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// readers runs check in n goroutines until write returns, at least once each
// after the first write.
func readers(t *testing.T, n int, check func() error, write func()) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				if err := check(); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	write()
	close(stop)
	wg.Wait()
}

var pair = []string{"x", "y/z"}

// writePair writes n under both keys, in one command.
func writePair(n int) *kv.Command {
	value := strconv.Itoa(n)
	return &kv.Command{Ops: []kv.Op{kvtest.Put(pair[0], value), kvtest.Put(pair[1], value)}}
}

func number(e *kv.Entry) int {
	if e == nil {
		return 0
	}
	n, _ := strconv.Atoi(e.Value())
	return n
}

// checkPair fails if a reader of s can see part of a batch: a snapshot must show
// the same number twice, and a reader that has seen one key of a batch must see the
// other, in either order.
func checkPair(s *kv.State) error {
	n, err := s.Snapshot()
	if err != nil {
		return err
	}
	defer n.Close()
	a, b := number(n.Get(pair[0])), number(n.Get(pair[1]))
	if a != b && n.Err() == nil {
		return fmt.Errorf("snapshot: got %d and %d, want the same", a, b)
	}
	for i := range pair {
		first, at := s.Get(pair[i])
		second, _ := s.Get(pair[1-i])
		if number(second) < number(first) {
			return fmt.Errorf("get: %d of key %q, then %d of the other", number(first), pair[i], number(second))
		}
		if first != nil && first.Mod > at.Rev {
			return fmt.Errorf("get: revision %d at position %v", first.Mod, at)
		}
	}
	return nil
}

// A reader must see all of a batch or nothing of it.
func TestBatchIsSeenWhole(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64, SnapshotMax: 2}, kv.Params{})
	readers(t, 4, func() error { return checkPair(store.State()) }, func() {
		for n := range 2000 {
			if _, err := store.Do(context.Background(), writePair(n+1)); err != nil {
				t.Error(err)
			}
		}
	})
}

// A store that applies half a batch must be found out.
func TestHalfABatchIsFound(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
	for half := range 2 {
		c := writePair(half + 1)
		c.Ops = c.Ops[half : half+1]
		if _, err := store.Do(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		if err := checkPair(store.State()); err == nil {
			t.Errorf("half %d of a batch was not found", half)
		}
	}
}

// Transfers between accounts must never change their sum in any snapshot,
// whichever snapshots are open, closed and ended meanwhile.
func TestSnapshotsKeepTheSum(t *testing.T) {
	store, _ := openDirect(t, kv.StateOptions{Presize: 64, SnapshotMax: 3, SnapshotBytes: 2000}, kv.Params{})
	ctx, const100 := context.Background(), "100"
	const accounts = 10
	for i := range accounts {
		if _, err := store.Do(ctx, &kv.Command{Ops: []kv.Op{kvtest.Put(fmt.Sprint("a/", i), const100)}}); err != nil {
			t.Fatal(err)
		}
	}
	check := func() error {
		n, err := store.Snapshot(ctx)
		if err != nil {
			return err
		}
		defer n.Close()
		sum := 0
		for _, e := range n.Scan("a/", "") {
			sum += number(e)
		}
		if n.Err() == nil && sum != accounts*100 {
			return fmt.Errorf("sum at %v: got %d, want %d", n.Position(), sum, accounts*100)
		}
		return nil
	}
	readers(t, 4, check, func() {
		for i := range 2000 {
			from, to := fmt.Sprint("a/", i%accounts), fmt.Sprint("a/", (i*7+1)%accounts)
			if from != to {
				transfer(t, store, from, to, i%13)
			}
		}
	})
	if got := store.State().Stats(); got.Snapshots != 0 || got.SnapshotBytes != 0 {
		t.Errorf("after all: got %d snapshots with %d bytes, want none", got.Snapshots, got.SnapshotBytes)
	}
}

func transfer(t *testing.T, store *kv.Store, from, to string, amount int) {
	t.Helper()
	a, _ := store.State().Get(from)
	b, _ := store.State().Get(to)
	r, err := store.Do(context.Background(), &kv.Command{
		Checks: []kv.Check{kvtest.Revision(from, a.Mod), kvtest.Revision(to, b.Mod)},
		Ops: []kv.Op{
			kvtest.Put(from, strconv.Itoa(number(a)-amount)), kvtest.Put(to, strconv.Itoa(number(b)+amount)),
		},
	})
	if err != nil || r.Outcome != kv.Committed {
		t.Errorf("transfer: got %+v, %v", r, err)
	}
}

// The position that Get returns must be one at which its answer held, even where
// the key's deletion is forgotten at once.
func TestGetFitsItsPosition(t *testing.T) {
	s := kv.NewState(kv.StateOptions{Presize: 64})
	index, now := uint64(0), int64(0)
	apply := func(c ...*kv.Command) {
		index++
		if _, err := s.Apply(index, 1, kv.EncodeEntry(now, c...)); err != nil {
			t.Error(err)
		}
	}
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Epoch: 7, Params: kv.Params{TombstoneAge: time.Millisecond}})
	index++
	if _, err := s.Apply(index, 1, b.Finish(0)); err != nil {
		t.Fatal(err)
	}
	check := func() error {
		e, at := s.Get("k")
		if exists := at.Rev%2 == 1; exists != (e != nil) {
			return fmt.Errorf("get at %v: got %v, want it to exist: %v", at, e, exists)
		}
		return nil
	}
	readers(t, 3, check, func() {
		for range 3000 { // odd revisions create the key, even ones delete it
			apply(&kv.Command{Ops: []kv.Op{kvtest.Put("k", "x")}})
			apply(&kv.Command{Ops: []kv.Op{kvtest.Delete("k")}})
			now += 2
			apply()
		}
	})
	if got := s.Stats().Tombstones; got > 1 {
		t.Errorf("tombstones: got %d, want 1 at most", got)
	}
}
