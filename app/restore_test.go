package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/persist/disk"
)

// If this failed, who restores a backup whose values are in object storage would have to know
// where that is: on the machine that is gone.
func TestRestoreTellsTheObjectStore(t *testing.T) {
	c := app.Config{Data: t.TempDir(), ObjectStore: "dir://" + t.TempDir(), SegmentSize: 64 << 10}
	e := openEngine(t, c)
	value := bulky("k", 1)
	_, err := e.Put(t.Context(), "k", []byte(value))
	must(t, err)
	must(t, e.Migrate(t.Context()))
	must(t, e.Checkpoint(t.Context()))
	file := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(file)
	must(t, err)
	_, err = e.Backup(t.Context(), f)
	must(t, errors.Join(err, f.Close(), e.Close()))

	data := filepath.Join(t.TempDir(), "restored")
	done, err := app.Restore(t.Context(), file, data, app.RestoreOptions{})
	if err != nil || done.ObjectStore != c.ObjectStore {
		t.Errorf("got %+v, %v, want the object store %s", done, err, c.ObjectStore)
	}
	var misfit *disk.MisfitError
	if _, err := app.Open(t.Context(), app.Config{Data: data}); !errors.As(err, &misfit) || !strings.Contains(misfit.Remedy, "--object-store="+c.ObjectStore) {
		t.Errorf("a start without it: got %v, want one that names it", err)
	}
	e = openEngine(t, app.Config{Data: data, ObjectStore: done.ObjectStore}.ObjectsHard(time.Hour))
	if got, err := e.Get(t.Context(), "k"); err != nil || got == nil || got.Value() != value {
		t.Errorf("with it: got %v, %v", got, err)
	}
	// What is backed up with its objects is in the new folder: the old place is not named.
	full := filepath.Join(t.TempDir(), "full")
	f, err = os.Create(full)
	must(t, err)
	_, err = e.FullBackup(t.Context(), f)
	must(t, errors.Join(err, f.Close()))
	if done, err = app.Restore(t.Context(), full, filepath.Join(t.TempDir(), "whole"), app.RestoreOptions{}); err != nil || done.ObjectStore != "" {
		t.Errorf("a full backup: got %+v, %v, want no object store", done, err)
	}
}
