package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"keywatch/persist/disk"
)

// Two stores on one folder would destroy it: the second must be refused at once,
// with the first one's name, and let in when the first has gone.
func TestLockDirIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "for", "it")
	first, err := disk.LockDir(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = disk.LockDir(path)
	var locked *disk.LockedError
	if !errors.As(err, &locked) || locked.Dir != path || locked.PID != os.Getpid() {
		t.Errorf("second: got %v, want a LockedError for %s by %d", err, path, os.Getpid())
	}
	if err := disk.InUse(path); !errors.As(err, &locked) {
		t.Errorf("InUse: got %v, want a LockedError", err)
	}
	for range 2 {
		if err := first.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := errors.Join(disk.InUse(path), disk.InUse(t.TempDir())); err != nil {
		t.Errorf("InUse after Close, and of another folder: %v", err)
	}
	third, err := disk.LockDir(path)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	third.Close()
}
