package faultfs_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
)

// create makes a file.
func create(t *testing.T, fsys *faultfs.FS, name string) disk.File {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A file system that kept what was not synced would make every crash test pass.
func TestCrashDropsWhatWasNotSynced(t *testing.T) {
	fsys := faultfs.New(1)
	f := create(t, fsys, "d/a")
	f.WriteAt(bytes.Repeat([]byte("1"), 2*faultfs.Sector), 0)
	f.Sync()
	if got := fsys.Crash(faultfs.DropAll).Names(); len(got) != 0 {
		t.Errorf("without SyncDir: got %v, want nothing", got)
	}
	fsys.SyncDir("d")
	f.WriteAt([]byte("2"), 0)
	f.WriteAt([]byte("2"), faultfs.Sector)
	seen := make(map[string]int)
	for range 40 {
		b := fsys.Crash(faultfs.DropSome).Content("d/a")
		seen[string([]byte{b[0], b[faultfs.Sector]})]++
	}
	if len(seen) != 4 {
		t.Errorf("DropSome: got %v, want each sector old or new by itself", seen)
	}
	if b := fsys.Crash(faultfs.DropAll).Content("d/a"); b[0] != '1' || b[faultfs.Sector] != '1' {
		t.Errorf("DropAll: got %c %c, want the synced bytes", b[0], b[faultfs.Sector])
	}
	if b := fsys.Crash(faultfs.DropNone).Content("d/a"); b[0] != '2' {
		t.Errorf("DropNone: got %c, want the written byte", b[0])
	}
}

// Names follow the same rule: a rename that was not synced may be undone.
func TestCrashUndoesRenames(t *testing.T) {
	fsys := faultfs.New(1)
	create(t, fsys, "d/a").Sync()
	fsys.SyncDir("d")
	if err := fsys.Rename("d/a", "d/b"); err != nil {
		t.Fatal(err)
	}
	if got := fsys.Crash(faultfs.DropAll).Names(); !slices.Equal(got, []string{"d/a"}) {
		t.Errorf("before SyncDir: got %v, want the old name", got)
	}
	fsys.SyncDir("d")
	if got := fsys.Crash(faultfs.DropAll).Names(); !slices.Equal(got, []string{"d/b"}) {
		t.Errorf("after SyncDir: got %v, want the new name", got)
	}
}

// After a failed fsync the bytes can be read but a second fsync does not save them:
// a writer that retries is caught.
func TestFailedSyncIsNotMadeGood(t *testing.T) {
	fsys := faultfs.New(1)
	f := create(t, fsys, "d/a")
	fsys.SyncDir("d")
	f.WriteAt([]byte("x"), 0)
	fsys.FailAt(1)
	if err := f.Sync(); !errors.Is(err, faultfs.ErrInjected) {
		t.Fatalf("Sync: got %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Fatalf("second Sync: got %v", err)
	}
	if got := fsys.Content("d/a"); string(got) != "x" {
		t.Errorf("before the crash: got %q, want x", got)
	}
	if got := fsys.Crash(faultfs.DropAll).Content("d/a"); len(got) != 0 {
		t.Errorf("after the crash: got %q, want nothing", got)
	}
}

// After the cut nothing may work, or a test would go on in a dead system.
func TestNothingWorksAfterTheCut(t *testing.T) {
	fsys := faultfs.New(1)
	f := create(t, fsys, "d/a")
	fsys.CutAt(2)
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		t.Fatalf("before the cut: %v", err)
	}
	_, write := f.WriteAt([]byte("x"), 0)
	_, read := f.ReadAt(make([]byte, 1), 0)
	_, list := fsys.ReadDir("d")
	for what, err := range map[string]error{"write": write, "read": read, "list": list,
		"sync": f.Sync(), "syncdir": fsys.SyncDir("d"), "remove": fsys.Remove("d/a")} {
		if !errors.Is(err, faultfs.ErrPowerCut) {
			t.Errorf("%s: got %v, want ErrPowerCut", what, err)
		}
	}
}
