package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
)

// If a full backup needed anything beside itself, it would be worth nothing on the
// day when the object store is lost.
func TestFullBackupNeedsNoStore(t *testing.T) {
	dir, segments := t.TempDir(), t.TempDir()
	e := openEngine(t, app.Config{Data: dir, ObjectStore: "dir://" + segments, SegmentSize: 64 << 10})
	lease, err := e.Store().Grant(t.Context(), "me", time.Hour, kv.Idem{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		op := kv.Op{Kind: kv.OpPut, Key: fmt.Sprintf("k/%03d", i), Value: []byte(bulky("k", uint64(i)))}
		if i%10 == 0 {
			op.Lease = lease.Lease.ID
		}
		if _, err := e.Store().Do(t.Context(), &kv.Command{Ops: []kv.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if n, err := e.FullBackup(t.Context(), &b); err != nil || n != int64(b.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, b.Len(), err)
	}
	if err := errors.Join(e.Close(), os.RemoveAll(segments)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "whole.backup")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	restored := filepath.Join(t.TempDir(), "restored")
	write(b.Bytes()[:b.Len()-1000])
	if _, err := app.Restore(t.Context(), file, restored, app.RestoreOptions{}); err == nil {
		t.Error("a backup that was cut short was restored")
	}
	if _, err := app.Open(t.Context(), app.Config{Data: restored}); err == nil {
		t.Error("a restore that did not end passed for a store")
	}
	write(b.Bytes())
	if _, err := app.Restore(t.Context(), file, restored, app.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	wholeAgain(t, app.Config{Data: restored}, lease.Lease.ID)
	elsewhere := app.Config{Data: filepath.Join(t.TempDir(), "second"), ObjectStore: "dir://" + filepath.Join(t.TempDir(), "objects")}
	if _, err := app.Restore(t.Context(), file, elsewhere.Data, app.RestoreOptions{ObjectStore: elsewhere.ObjectStore}); err != nil {
		t.Fatal(err)
	}
	wholeAgain(t, elsewhere, lease.Lease.ID)
}

// wholeAgain reads everything back, and ends the lease that some keys are attached to.
func wholeAgain(t *testing.T, c app.Config, id kv.LeaseID) {
	t.Helper()
	e := openEngine(t, c)
	defer e.Close()
	for i := range 200 {
		got, err := e.Get(t.Context(), fmt.Sprintf("k/%03d", i))
		if err != nil || got == nil || got.Value() != bulky("k", uint64(i)) || got.Tier() != kv.TierObject {
			t.Fatalf("key %d: %+v, %v", i, got, err)
		}
		if (got.Lease() == id) != (i%10 == 0) {
			t.Errorf("key %d hangs on lease %q", i, got.Lease())
		}
	}
	if r, err := e.Store().Revoke(t.Context(), id, kv.Idem{}); err != nil || r.Deleted != 20 {
		t.Errorf("end of the lease: %+v, %v, want 20 keys deleted", r, err)
	}
}

// If a place for objects were named in vain, an operator would look for them there.
func TestRestoreWithoutObjectsInside(t *testing.T) {
	e := openEngine(t, app.Config{Data: t.TempDir()})
	var b bytes.Buffer
	if _, err := e.FullBackup(t.Context(), &b); err != nil { // has none, so it is an ordinary one
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	o := app.RestoreOptions{ObjectStore: "dir://" + t.TempDir()}
	_, err := app.Restore(t.Context(), file, filepath.Join(t.TempDir(), "data"), o)
	if err == nil || !strings.Contains(err.Error(), "--object-store") && !strings.Contains(err.Error(), "has none") {
		t.Errorf("got %v", err)
	}
	if _, err := app.Restore(t.Context(), file, filepath.Join(t.TempDir(), "data"), app.RestoreOptions{}); err != nil {
		t.Error(err)
	}
}

// If what a full backup brought along stayed for ever beside what was copied out of
// it, each restore would double the folder.
func TestWholeRestoreLeavesNoGarbage(t *testing.T) {
	e := openEngine(t, app.Config{Data: t.TempDir(), DiskMax: 1 << 40, SegmentSize: 64 << 10})
	for i := range 100 {
		if _, err := e.Put(t.Context(), fmt.Sprintf("k/%03d", i), []byte(bulky("k", uint64(i)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "whole.backup")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.FullBackup(t.Context(), f); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "restored")
	if _, err := app.Restore(t.Context(), file, data, app.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	segments := func() int {
		files, err := filepath.Glob(filepath.Join(data, "objects", "*", "*", "*.seg"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	brought := segments()
	c := app.Config{Data: data, SegmentSize: 64 << 10, BackupKeep: 1}
	r := openEngine(t, c.ObjectsHard(time.Hour))
	for range 2 { // the first copies and sees what is dead, the second deletes
		if err := r.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if live := r.Status().Objects.Segments; brought == 0 || segments() != live || live == 0 {
		t.Errorf("%d segments were restored, %d are there, %d are referred to", brought, segments(), live)
	}
	for i := range 100 {
		if got, err := r.Get(t.Context(), fmt.Sprintf("k/%03d", i)); err != nil || got == nil || got.Value() != bulky("k", uint64(i)) {
			t.Fatalf("key %d: %+v, %v", i, got, err)
		}
	}
}
