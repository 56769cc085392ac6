package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/persist/object"
)

// If a copy of a data folder could run beside its original, each would in the end
// delete what the other refers to: the one that began first must stop moving and
// deleting, say so, and go on serving.
func TestCopyOfAStoreStopsTheOriginal(t *testing.T) {
	objects := t.TempDir()
	config := func(data string) app.Config {
		c := app.Config{Data: data, ObjectStore: "dir://" + objects, SegmentSize: 32 << 10, BackupKeep: 1}
		return c.ObjectsHard(time.Hour)
	}
	data, copied := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "copied")
	put := func(e *app.Engine, from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			if _, err := e.Put(t.Context(), fmt.Sprintf("k/%03d", i), []byte(bulky("k", uint64(i)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(e *app.Engine, n int) {
		t.Helper()
		for i := range n {
			if got, err := e.Get(t.Context(), fmt.Sprintf("k/%03d", i)); err != nil || got == nil || got.Value() != bulky("k", uint64(i)) {
				t.Fatalf("key %d: %+v, %v", i, got, err)
			}
		}
	}
	e := openEngine(t, config(data))
	put(e, 0, 50)
	if err := errors.Join(e.Migrate(t.Context()), e.Close(), os.CopyFS(copied, os.DirFS(data))); err != nil {
		t.Fatal(err)
	}
	original := openEngine(t, config(data))
	put(original, 50, 80)
	if err := original.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := openEngine(t, config(copied))
	put(other, 50, 60)
	for range 2 {
		if err := other.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	put(original, 80, 90)
	err := original.Migrate(t.Context())
	if !errors.Is(err, object.ErrTaken) || !errors.Is(err, kv.ErrTierUnavailable) {
		t.Errorf("the original migrates: %v", err)
	}
	if w := original.Status().Objects.Waiting; !strings.Contains(w, "another process") {
		t.Errorf("the original's status says %q", w)
	}
	check(other, 60)
	put(original, 80, 90)
	check(original, 50)
}
