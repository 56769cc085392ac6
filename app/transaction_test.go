package app_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
)

// newEngine opens an engine in memory.
func newEngine(t testing.TB) *app.Engine {
	t.Helper()
	db, err := app.Open(t.Context(), app.Config{MemoryOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// move moves one from an account to another, if there is one.
func move(from, to string) func(*app.Tx) error {
	return func(tx *app.Tx) error {
		var balance [2]int
		for i, key := range []string{from, to} {
			text, _, err := tx.Get(key)
			if err != nil {
				return err
			}
			balance[i], _ = strconv.Atoi(text)
		}
		if balance[0] > 0 {
			tx.Put(from, strconv.AppendInt(nil, int64(balance[0]-1), 10))
			tx.Put(to, strconv.AppendInt(nil, int64(balance[1]+1), 10))
		}
		return nil
	}
}

// A conflict that was overlooked would make or lose money here.
func TestUpdateIsSerializable(t *testing.T) {
	db := newEngine(t)
	const accounts, each = 3, 50
	name := func(i int) string { return fmt.Sprintf("account/%d", i%accounts) }
	for i := range accounts {
		if _, err := db.Put(t.Context(), name(i), []byte("10")); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range each {
				if _, err := db.Update(t.Context(), move(name(i+n), name(i+n+1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	sum := 0
	for item, err := range db.List(t.Context(), "account/") {
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(item.Entry.Value())
		sum += n
	}
	if sum != 10*accounts {
		t.Errorf("got %d in all, want %d", sum, 10*accounts)
	}
}

// A transaction must see its own writes, run again when what it has read is changed, and write
// nothing when it fails.
func TestUpdateRunsAgain(t *testing.T) {
	db := newEngine(t)
	ctx := t.Context()
	runs := 0
	rev, err := db.Update(ctx, func(tx *app.Tx) error {
		runs++
		old, found, err := tx.Get("a")
		if err != nil {
			return err
		}
		if runs == 1 { // another client is faster
			if _, err := db.Put(ctx, "a", []byte("other")); err != nil {
				return err
			}
		}
		tx.Put("b", []byte(old+strconv.FormatBool(found)))
		tx.Delete("c")
		if own, ok, err := tx.Get("b"); err != nil || !ok || own != old+strconv.FormatBool(found) {
			t.Errorf("own write: got %q %v %v", own, ok, err)
		}
		if _, ok, _ := tx.Get("c"); ok {
			t.Error("own deletion: the key is still there")
		}
		return nil
	})
	if b, _ := db.Get(ctx, "b"); err != nil || runs != 2 || b == nil || b.Value() != "othertrue" || b.Mod != rev {
		t.Errorf("got %v, %v after %d runs, want othertrue after 2", b, err, runs)
	}
	broken := errors.New("broken")
	if _, err := db.Update(ctx, func(tx *app.Tx) error { tx.Put("d", nil); return broken }); err != broken {
		t.Errorf("got %v, want what the function returned", err)
	}
	if d, _ := db.Get(ctx, "d"); d != nil {
		t.Error("a transaction that failed has written")
	}
	if rev, err := db.Update(ctx, func(tx *app.Tx) error { _, _, err := tx.Get("a"); return err }); rev != 0 || err != nil {
		t.Errorf("without writes: got %d, %v", rev, err)
	}
}

// What cannot be applied for another reason must not be tried for ever.
func TestUpdateThatCannotBeApplied(t *testing.T) {
	db := newEngine(t)
	_, err := db.Update(t.Context(), func(tx *app.Tx) error {
		tx.Write(kv.Op{Kind: kv.OpPut, Key: "a", Lease: kv.LeaseID{7}})
		return nil
	})
	if unapplied, ok := errors.AsType[*app.UnappliedError](err); !ok || unapplied.Result.Outcome != kv.LeaseEnded {
		t.Errorf("with a lease that does not exist: got %v", err)
	}
	_, err = db.Update(t.Context(), func(tx *app.Tx) error { tx.Write(kv.Op{Kind: kv.OpAdd, Key: "a"}); return nil })
	if err == nil {
		t.Error("an operation that is neither put nor delete was taken")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = db.Update(ctx, func(tx *app.Tx) error {
		_, _, err := tx.Get("a")
		if _, err := db.Put(t.Context(), "a", nil); err != nil {
			return err
		}
		tx.Put("b", nil)
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, kv.ErrOutcomeUnknown) {
		t.Errorf("with conflicts for ever: got %v", err)
	}
}

// A snapshot that shows later writes would tear a list and a read apart.
func TestSnapshotStands(t *testing.T) {
	db := newEngine(t)
	ctx := t.Context()
	put := func(key, value string) {
		if _, err := db.Put(ctx, key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	put("a", "1")
	snap, err := db.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	put("a", "2")
	put("b", "2")
	if a, err := snap.Get(ctx, "a"); err != nil || a.Value() != "1" || snap.Position().Rev != a.Mod {
		t.Errorf("got %v, %v", a, err)
	}
	if b, err := snap.Get(ctx, "b"); b != nil || err != nil {
		t.Errorf("got %v, %v, want nothing", b, err)
	}
	for item, err := range snap.List(ctx, "") {
		if err != nil || item.Key != "a" || item.Entry.Value() != "1" {
			t.Errorf("got %q %v", item.Key, err)
		}
	}
}
