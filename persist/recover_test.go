package persist_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/wal"
)

// survivor makes the folder of one of several servers, of which none runs: it has a checkpoint, entries that
// were committed after it, and two more. It returns the folder, what its state is, and where.
func survivor(t *testing.T) (dir string, want []string, old kv.Position) {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), opts: quick(), time: 1000}
	r.open()
	for i := range 10 {
		r.do(put(fmt.Sprint("k", i%4), fmt.Sprint(i), 0))
	}
	r.memberCheckpoint()
	for i := range 6 {
		data := kv.EncodeEntry(r.time, put(fmt.Sprint("later", i%4), fmt.Sprint(i), 0))
		if i == 3 {
			data = nil // the first of a term
		}
		r.index++
		if err := r.db.Log().Keep(r.index-2, &wal.Entry{Index: r.index, Term: 2, Data: data}); err != nil {
			t.Fatal(err)
		}
		if data == nil {
			r.state.Skip(r.index, 2)
		} else if _, err := r.state.Apply(r.index, 2, data); err != nil {
			t.Fatal(err)
		}
	}
	want, old = dump(t, r.state, false), r.state.Position()
	if err := r.db.Close(false); err != nil {
		t.Fatal(err)
	}
	return r.dir, want, old
}

// If this failed, a cluster that has lost its quorum would lose more than it must, or a recovery that was cut
// short would lose the rest.
func TestRecover(t *testing.T) {
	folder, want, old := survivor(t)
	all := 0
	opts := persist.RecoverOptions{Store: 77, Release: "v1", Logger: tight.Logger}
	for stop := 0; stop == 0 || stop <= all; stop++ {
		dir := t.TempDir()
		copyFolder(t, folder, dir)
		steps := 0
		cut := errors.New("cut")
		done, err := persist.Recover(dir, persist.Stepped(opts, func(string) error {
			if steps++; steps == stop {
				return cut
			}
			return nil
		}))
		if stop > 0 && !errors.Is(err, cut) {
			t.Fatalf("step %d: got %v, want it to be cut", stop, err)
		}
		if stop > 0 {
			if done, err = persist.Recover(dir, opts); err != nil {
				t.Fatalf("after step %d: %v", stop, err)
			}
		} else if err != nil || done.Applied != 6 || done.Open != 2 || done.Term != 2 {
			t.Fatalf("got %+v, %v, want 6 entries after the checkpoint, 2 of them open", done, err)
		}
		all = max(all, steps)
		checkRecovered(t, dir, done.Meta, old, want)
	}
	if all < 4 {
		t.Errorf("only %d steps were cut", all)
	}
}

// checkRecovered opens a recovered folder and compares it with what the survivor had.
func checkRecovered(t *testing.T, dir string, meta kv.Meta, old kv.Position, want []string) {
	t.Helper()
	db, err := persist.Open(dir, persist.Options{SegmentSize: 64 << 10, Logger: tight.Logger})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(true)
	state := kv.NewState(kv.StateOptions{Presize: 1})
	if got, err := db.Load(state); err != nil || got != meta {
		t.Fatalf("Load: got %+v, %v, want %+v", got, err, meta)
	}
	at := state.Position()
	if at.Epoch == old.Epoch || at.Epoch == 0 || at.Rev != old.Rev+kv.RevLift {
		t.Errorf("position: got %s, want another epoch than %s and revisions lifted by 2^32", at, old)
	}
	equal(t, "recovered keys", dump(t, state, false)[1:], want[1:])
	if _, _, members := db.Last(); db.Store() != 77 || len(members) > 0 {
		t.Errorf("got store %s with members %q, want the new one with none", db.Store(), members)
	}
	if last, err := db.Log().LastIndex(); err != nil || last != 0 {
		t.Errorf("log: got last index %d, %v, want none", last, err)
	}
}

// If this failed, a recovery could begin an empty store where the folder was mistaken, or beside a server
// that runs.
func TestRecoverRefuses(t *testing.T) {
	opts := persist.RecoverOptions{Store: 77, Logger: tight.Logger, Begin: func() error {
		t.Error("a recovery that is refused has begun")
		return nil
	}}
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := persist.Recover(missing, opts); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that does not exist: got %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("it was made")
	}
	if _, err := persist.Recover(t.TempDir(), opts); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder: got %v", err)
	}
	r := &rig{t: t, dir: t.TempDir(), opts: quick(), time: 1000}
	r.open()
	if _, err := persist.Recover(r.dir, opts); err == nil {
		t.Error("a folder that is in use is recovered")
	}
	if err := r.db.Close(true); err != nil {
		t.Fatal(err)
	}
	opts.Begin = nil
	if _, err := persist.Recover(r.dir, opts); !errors.Is(err, persist.ErrNothing) {
		t.Errorf("a folder in which nothing was stored: got %v, want ErrNothing", err)
	}
}
