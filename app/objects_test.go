package app_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/persist/object"
	"keywatch/test/gate"
)

// movingObjects is tightMemory with values on their way to object storage all the
// time.
func movingObjects(dir string) app.Config {
	c := tightMemory(dir)
	c.ObjectAfter, c.SegmentSize, c.BackupKeep = 50*time.Millisecond, 64<<10, time.Millisecond
	return c.ObjectsHard(20 * time.Millisecond)
}

// With evictor, checkpoints, compaction, migration, rewriting and deletion of
// segments all at work, no read, list, compare or watch may ever see a lost or
// stale value, before a restart or after.
func TestMovingObjects(t *testing.T) {
	dir := t.TempDir()
	workers := newWorkers(t, 6)
	var deleted uint64
	for round := range 3 {
		e := openEngine(t, movingObjects(dir))
		workUntil(t, e, workers, func(e *app.Engine) bool {
			s := e.Status()
			return s.Objects.Moved >= 100 && s.Tiers.Object.Reads > 0
		})
		if err := e.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, w := range workers {
			w.checkAll()
		}
		s := e.Status()
		if s.Objects.Moved < 100 || s.Objects.Missing > 0 || s.Objects.Waiting != "" || s.Tiers.Object.Keys == 0 || s.Tiers.Object.Reads == 0 {
			t.Errorf("round %d: the test tests nothing, or something is wrong: %+v %+v", round, s.Objects, s.Tiers)
		}
		deleted += s.Objects.Deleted
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if deleted == 0 {
		t.Error("no segment was ever deleted")
	}
}

// If moving values did not free their space on disk, or an epoch's segments could
// not be read after a restore, or a damaged one were not named, an operator could not rely
// on it.
func TestMigrateFreesDiskAndRestores(t *testing.T) {
	dir, segments := t.TempDir(), t.TempDir()
	c := app.Config{Data: dir, ObjectStore: "dir://" + segments, SegmentSize: 256 << 10}
	e := openEngine(t, c)
	value := strings.Repeat("v", 2000)
	for i := range 500 {
		if _, err := e.Put(t.Context(), fmt.Sprintf("k/%03d", i), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := e.Get(t.Context(), "k/007")
	if err := e.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if live := e.Status().Checkpoint.LiveBytes; live > 200_000 {
		t.Errorf("a million bytes were moved, %d are still on disk", live)
	}
	after, err := e.Get(t.Context(), "k/007")
	if err != nil || after.Mod != before.Mod || after.Version != before.Version || after.Value() != value || after.Tier() != kv.TierObject {
		t.Errorf("the version was %+v and is %+v, %v", before, after, err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(backup)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Backup(t.Context(), f); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	c.Data = filepath.Join(t.TempDir(), "restored")
	if _, err := app.Restore(t.Context(), backup, c.Data, app.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	restored(t, c, segments, value)
}

func restored(t *testing.T, c app.Config, segments, value string) {
	e := openEngine(t, c)
	check := func(when string) {
		t.Helper()
		for i := range 500 {
			got, err := e.Get(t.Context(), fmt.Sprintf("k/%03d", i))
			if err != nil || got == nil || got.Value() != value {
				t.Fatalf("%s: key %d: %v, %v", when, i, got, err)
			}
		}
	}
	check("restored")
	if err := e.Migrate(t.Context()); err != nil { // copies the segments of the old epoch
		t.Fatal(err)
	}
	check("copied") // from memory, where the first reads have put them
	if s := e.Status(); s.Tiers.Object.Reads != 500 || s.Tiers.Promotions != 500 {
		t.Errorf("%+v", s.Tiers)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, c)
	for id := range e.Store().State().Segments() {
		if id.Epoch != e.Store().State().Position().Epoch {
			t.Errorf("segment %v of an earlier epoch was not copied", id)
		}
		name := object.ID{Store: object.StoreID(id.Store), Epoch: id.Epoch, Seq: id.Seq}.Name()
		if err := os.Remove(filepath.Join(segments, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := e.Get(t.Context(), "k/007")
	if !errors.Is(err, kv.ErrDamaged) || !strings.Contains(err.Error(), ".seg") {
		t.Errorf("a lost segment: %v", err)
	}
	if err := os.Rename(segments, segments+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Get(t.Context(), "k/008"); !errors.Is(err, kv.ErrTierUnavailable) {
		t.Errorf("a store that is away: %v", err)
	}
	if err := e.Migrate(t.Context()); err != nil && !errors.Is(err, kv.ErrTierUnavailable) {
		t.Errorf("migrating to it: %v", err)
	}
	if r, err := e.CompareAndSwap(t.Context(), "k/008", 1, []byte("x")); err != nil || r.Outcome != kv.CheckFailed {
		t.Errorf("a compare by revision needs no value: %+v, %v", r, err)
	}
	if _, err := e.Put(t.Context(), "k/008", []byte("new")); err != nil {
		t.Errorf("a write needs no store: %v", err)
	}
}

// If records on disk could exceed --disk-max for long, the disk would fill up
// although there is room elsewhere.
func TestDiskMax(t *testing.T) {
	c := app.Config{Data: t.TempDir(), DiskMax: 300 << 10, SegmentSize: 64 << 10, CheckpointBytes: 64 << 10}
	e := openEngine(t, c.ObjectsHard(time.Hour)) // it looks after a checkpoint only
	for i := range 1000 {
		if _, err := e.Put(t.Context(), fmt.Sprintf("k/%04d", i), []byte(strings.Repeat("v", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	gate.Until(t, func() bool { return e.Status().Checkpoint.LiveBytes <= 300<<10 }, "there is too much on disk: %s",
		func() string { return fmt.Sprintf("%+v", e.Status()) })
	n := 0
	for item, err := range e.List(t.Context(), "k/") {
		if err != nil || item.Entry.Size() != 1000 || len(item.Entry.Value()) != 1000 {
			t.Fatalf("%v %v", item, err)
		}
		n++
	}
	if n != 1000 {
		t.Errorf("%d keys, want 1000", n)
	}
}

// If an object store that accepts connections and never answers held up writes,
// reads of what is not there, or the end of the process, it would be an outage.
func TestObjectStoreThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // no connection is accepted
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "k")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	c := app.Config{
		Data: t.TempDir(), ObjectStore: "s3://bucket?endpoint=http%3A%2F%2F" + l.Addr().String(),
		ObjectAfter: time.Millisecond, CheckpointBytes: 16 << 10,
	}
	const longerThanTheRun = 48 * time.Hour // an attempt at a put takes half of it
	e := openEngine(t, c.ObjectsHard(time.Millisecond).ObjectRead(longerThanTheRun))
	for i := range 300 {
		key := fmt.Sprintf("k%d", i%50)
		if _, err := e.Put(t.Context(), key, []byte(bulky(key, uint64(i)))); err != nil {
			t.Fatal(err)
		}
		if got, err := e.Get(t.Context(), key); err != nil || got.Value() != bulky(key, uint64(i)) {
			t.Fatalf("%s: %v, %v", key, got, err)
		}
		if i%100 == 99 {
			if err := e.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := e.Migrate(ctx); err == nil {
		t.Error("migrating to it succeeded")
	}
	ended := make(chan error, 1) // gets what Close returns, once
	go func() { ended <- e.Close() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-gate.Context(t).Done():
		t.Error("the end waits for the object store")
	}
}
