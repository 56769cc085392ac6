package wal_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// owned is small for the log of a store.
func owned(fsys disk.FS, store disk.StoreID) wal.Options {
	o := small(fsys)
	o.Store = store
	return o
}

// If the log of another store were opened, its entries would be applied to this one.
func TestForeignLogIsRefused(t *testing.T) {
	fsys := faultfs.New(1)
	mustStore(t, mustOpen(t, owned(fsys, 7)), entries(1, 1, 30, 200))
	before := fsys.Ops()
	_, err := wal.Open(dir, owned(fsys, 8))
	if !errors.Is(err, disk.ErrForeign) || !strings.Contains(err.Error(), fmt.Sprint(disk.StoreID(7))) || fsys.Ops() != before {
		t.Errorf("got %v, want ErrForeign with the other store's id and nothing changed", err)
	}
	found, err := wal.Survey(fsys, dir)
	if err != nil || found.Store != 7 || found.Segments < 2 || found.Stable {
		t.Errorf("Survey: got %+v, %v, want several segments of store 7", found, err)
	}
	// One file of another log among those of this one.
	other := faultfs.New(1)
	mustStore(t, mustOpen(t, owned(other, 8)), entries(1, 1, 30, 200))
	name := segments(other)[1]
	mixed := copied(fsys, name, other.Content(name))
	if _, err := wal.Survey(mixed, dir); !errors.Is(err, disk.ErrForeign) || !strings.Contains(err.Error(), name) {
		t.Errorf("Survey of mixed logs: got %v, want ErrForeign for %s", err, name)
	}
}

// A log that an earlier release made names no store: it must open as it is, and what
// is added must not stop that release from reading it.
func TestLogThatNamesNoStore(t *testing.T) {
	fsys := faultfs.New(1)
	mustStore(t, mustOpen(t, small(fsys)), entries(1, 1, 5, 200))
	l := mustOpen(t, owned(fsys, 7))
	mustStore(t, l, entries(6, 1, 30, 200))
	for _, store := range []disk.StoreID{0, 7} {
		same(t, "opened", contents(t, mustOpen(t, owned(fsys, store))), texts(entries(1, 1, 35, 200)))
	}
}

// If a log of a later release were taken for one that was torn, what it holds would be
// cut off; if it were called damaged, an operator would throw it away.
func TestLaterLogIsCalledSo(t *testing.T) {
	fsys := faultfs.New(1)
	l := mustOpen(t, small(fsys))
	mustStore(t, l, entries(1, 1, 3, 100))
	l.Close()
	name := segments(fsys)[0]
	for what, b := range map[string][]byte{
		"segment of format 02": wal.LaterSegment(fsys.Content(name)),
		"group of kind 6":      wal.LaterGroup(fsys.Content(name)),
	} {
		later := copied(fsys, name, b)
		before := later.Ops()
		_, err := wal.Open(dir, small(later))
		if !errors.Is(err, disk.ErrNewer) || !strings.Contains(err.Error(), name) || later.Ops() != before {
			t.Errorf("%s: got %v, want ErrNewer for %s and nothing changed", what, err, name)
		}
	}
	s := mustOpenStable(t, fsys)
	s.SetHard(wal.Hard{Term: 5})
	path := dir + "/" + wal.StableName
	later := copied(fsys, path, wal.LaterStable(fsys.Content(path)))
	if _, err := wal.OpenStable(dir, wal.StableOptions{FS: later}); !errors.Is(err, disk.ErrNewer) {
		t.Errorf("stable store of format 02: got %v, want ErrNewer", err)
	}
}

// A log that was emptied must remember how far it went, over restarts and power
// cuts: it is what tells a checkpoint that is too old.
func TestEmptiedLogKnowsItsFloor(t *testing.T) {
	fsys := faultfs.New(1)
	l := mustOpen(t, small(fsys))
	mustStore(t, l, entries(1, 1, 30, 200))
	floor := func(l *wal.Log, want wal.Extent) {
		t.Helper()
		got, err := l.Extent()
		want.Groups = got.Groups
		if err != nil || got != want {
			t.Errorf("Extent: got %+v, %v, want %+v", got, err, want)
		}
	}
	floor(l, wal.Extent{First: 1, Last: 30})
	if err := l.DeleteRange(1, 10); err != nil {
		t.Fatal(err)
	}
	floor(l, wal.Extent{First: 11, Last: 30, Floor: 10})
	if err := l.DeleteRange(11, 30); err != nil {
		t.Fatal(err)
	}
	fsys = fsys.Crash(faultfs.DropAll)
	l = mustOpen(t, small(fsys))
	floor(l, wal.Extent{Floor: 30})
	before, _ := l.Extent()
	mustStore(t, l, entries(31, 1, 2, 200))
	l.Close()
	l = mustOpen(t, small(fsys))
	floor(l, wal.Extent{First: 31, Last: 32, Floor: 30})
	if after, _ := l.Extent(); after.Groups <= before.Groups {
		t.Errorf("Groups: got %d after %d, want more", after.Groups, before.Groups)
	}
}
