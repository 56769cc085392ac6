package disk_test

import (
	"errors"
	"testing"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
)

// A mark must be there after it was put and not after it was removed, wherever the
// power is cut.
func TestMarkSurvivesPowerCut(t *testing.T) {
	fsys := faultfs.New(1)
	for i, want := range []bool{false, true, false} {
		if got, err := disk.CleanStop.In(fsys, dir); got != want || err != nil {
			t.Errorf("look %d: got %v %v, want %v", i, got, err, want)
		}
		got, err := disk.CleanStop.Take(fsys, dir)
		if got != want || err != nil {
			t.Errorf("take %d: got %v %v, want %v", i, got, err, want)
		}
		fsys = fsys.Crash(faultfs.DropAll)
		if i == 0 {
			if err := disk.CleanStop.Put(fsys, dir); err != nil {
				t.Fatal(err)
			}
			fsys = fsys.Crash(faultfs.DropAll)
		}
	}
}

// A mark that may not have reached the disk must not be reported as put, nor one
// that may return as removed.
func TestMarkReportsFailures(t *testing.T) {
	for at := 1; at <= 3; at++ {
		fsys := faultfs.New(1)
		fsys.FailAt(at)
		if err := disk.CleanStop.Put(fsys, dir); !errors.Is(err, faultfs.ErrInjected) {
			t.Errorf("Put with failure at %d: got %v", at, err)
		}
	}
	for at := 1; at <= 2; at++ {
		fsys := faultfs.New(1)
		disk.CleanStop.Put(fsys, dir)
		fsys.FailAt(at)
		if _, err := disk.CleanStop.Take(fsys, dir); !errors.Is(err, faultfs.ErrInjected) {
			t.Errorf("Take with failure at %d: got %v", at, err)
		}
	}
}
