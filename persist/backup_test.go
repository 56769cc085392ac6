package persist_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

// backup writes a backup of the rig's folder into a file.
func (r *rig) backup(path string) {
	r.t.Helper()
	var b bytes.Buffer
	size, err := r.db.BackupSize()
	if err != nil {
		r.t.Fatal(err)
	}
	n, err := r.db.Backup(r.t.Context(), &b)
	if err != nil || n != int64(b.Len()) || n != size {
		r.t.Fatalf("Backup: got %d bytes of %d, %v, want %d", n, b.Len(), err, size)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// If this failed, a backup made while the store is written would not hold one moment of it, or a
// restored store could be mistaken for the old one.
func TestBackupUnderWritesAndRestore(t *testing.T) {
	r := newRig(t, quick())
	for i := range 50 {
		r.do(put(fmt.Sprint(i), "v", time.Hour), del(fmt.Sprint(i/2)))
	}
	r.mustCheckpoint()
	want := dump(t, r.state, false)
	old := r.state.Position()
	img, err := r.db.OpenBackup()
	if err != nil {
		t.Fatal(err)
	}
	// The file changes in every way under the open image.
	for i := range 200 {
		r.do(put(fmt.Sprint(i%60), strings.Repeat("w", i), 0))
		if i%10 == 0 {
			r.mustCheckpoint()
		}
	}
	file := filepath.Join(t.TempDir(), "backup")
	if n := saveTo(t, file, img); n != img.Size() {
		t.Fatalf("image: got %d bytes, want %d", n, img.Size())
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := img.Read(make([]byte, 1)); !errors.Is(err, persist.ErrImageEnded) {
		t.Errorf("Read after Close: got %v, want ErrImageEnded", err)
	}

	dir := filepath.Join(t.TempDir(), "restored")
	meta, err := persist.Restore(file, dir, persist.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkRestored(t, dir, meta, old, want)
	if _, err := persist.Restore(file, dir, persist.RestoreOptions{}); !errors.Is(err, persist.ErrNotEmpty) {
		t.Errorf("Restore into a full folder: got %v, want ErrNotEmpty", err)
	}
}

// checkRestored opens a restored folder and compares it with what was backed up.
func checkRestored(t *testing.T, dir string, meta kv.Meta, old kv.Position, want []string) {
	t.Helper()
	db, err := persist.Open(dir, persist.Options{SegmentSize: 64 << 10, Logger: tight.Logger})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(true)
	state := kv.NewState(kv.StateOptions{Presize: 1})
	got, err := db.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	at := state.Position()
	if got != meta || at != meta.At {
		t.Errorf("Load: got %+v at %s, want %+v", got, at, meta)
	}
	if at.Epoch == old.Epoch || at.Epoch == 0 || at.Rev != old.Rev+kv.RevLift || got.Floor != at.Rev {
		t.Errorf("restored position: got %s with floor %d, want another epoch than %s and revision and floor lifted by 2^32",
			at, got.Floor, old)
	}
	lines := dump(t, state, false)
	equal(t, "restored keys", lines[1:], want[1:])
	if hard, err := db.Stable().Hard(); err != nil || hard != (wal.Hard{Term: 1}) {
		t.Errorf("term and vote: got %+v, %v, want term 1", hard, err)
	}
	if last, err := db.Log().LastIndex(); err != nil || last != 0 {
		t.Errorf("restored log: got last index %d, %v, want none", last, err)
	}
	if index, term, _ := db.Last(); index != meta.Index || term != 1 {
		t.Errorf("restored checkpoint: got index %d and term %d, want %d and 1", index, term, meta.Index)
	}
}

// If this failed, a restore could destroy data, take a damaged file, or leave a folder that
// serves half of it.
func TestRestoreRefuses(t *testing.T) {
	r := newRig(t, quick())
	tmp := t.TempDir()
	empty := filepath.Join(tmp, "empty")
	r.backup(empty)
	r.do(put("k", "some value", 0))
	r.mustCheckpoint()
	good := filepath.Join(tmp, "good")
	r.backup(good)
	whole, _ := os.ReadFile(good)
	broken := bytes.Replace(whole, []byte("some value"), []byte("same value"), 1)
	write := func(name string, b []byte) string {
		path := filepath.Join(tmp, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	opts := persist.RestoreOptions{}
	restore := func(file, dir string) error { _, err := persist.Restore(file, dir, opts); return err }

	dir := filepath.Join(tmp, "dir")
	if err := restore(empty, dir); !errors.Is(err, persist.ErrNoBackup) {
		t.Errorf("backup of a store without a checkpoint: got %v, want ErrNoBackup", err)
	}
	for name, b := range map[string][]byte{"broken": broken, "short": whole[:len(whole)-5000], "garbage": []byte("hello"), "none": nil} {
		file := write(name, b)
		var d *disk.DamageError
		if err := restore(file, dir); !errors.As(err, &d) || d.File != file || d.Remedy != "use another backup" {
			t.Errorf("%s: got %v, want a DamageError for it", name, err)
		}
		if left := treeOf(t, dir); len(left) > 0 {
			t.Errorf("%s: left %v in the folder", name, left)
		}
		if _, err := persist.Open(dir, tight); !errors.Is(err, persist.ErrRestoring) {
			t.Errorf("%s: Open afterwards: got %v, want ErrRestoring", name, err)
		}
	}
	busy := filepath.Join(tmp, "busy")
	mustMkdir(t, busy)
	write("busy/file", nil)
	if err := restore(good, busy); !errors.Is(err, persist.ErrNotEmpty) {
		t.Errorf("folder with a file: got %v, want ErrNotEmpty", err)
	}
	if err := restore(good, dir); err != nil {
		t.Errorf("folder that refused restores left: %v", err)
	}
}

// The checkpoint of a folder is a backup, but not while a server changes it.
func TestRestoreFromAFolder(t *testing.T) {
	l := beginLife(t, t.TempDir())
	l.write(5)
	l.checkpoint()
	want := l.now().want
	file, dir := filepath.Join(l.dir, persist.CheckpointName), filepath.Join(t.TempDir(), "new")
	var locked *disk.LockedError
	if _, err := persist.Restore(file, dir, persist.RestoreOptions{}); !errors.As(err, &locked) || !strings.Contains(err.Error(), "keywatch backup") {
		t.Errorf("while it is served: got %v, want a LockedError and what to use", err)
	}
	old := l.state.Position()
	if err := l.db.Close(true); err != nil {
		t.Fatal(err)
	}
	meta, err := persist.Restore(file, dir, persist.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkRestored(t, dir, meta, old, want)
}

// If this failed, a store whose restore was cut short would start with a part of it.
func TestRestoreCutShort(t *testing.T) {
	r := newRig(t, quick())
	r.do(put("k", "v", 0))
	r.mustCheckpoint()
	file := filepath.Join(t.TempDir(), "backup")
	r.backup(file)
	full := t.TempDir()
	if _, err := persist.Restore(file, full, persist.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	files := slices.Sorted(maps.Keys(treeOf(t, full)))
	if len(files) != 4 {
		t.Fatalf("a restored folder has %q, want checkpoint, log, stable store and store file", files)
	}
	for _, c := range cutRestores(files) {
		dir := t.TempDir()
		mustMkdir(t, filepath.Join(dir, persist.RestoringName))
		for i, sub := range []string{"", persist.RestoringName} {
			for _, name := range c[i] {
				b, _ := os.ReadFile(filepath.Join(full, name))
				if err := os.WriteFile(filepath.Join(dir, sub, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := persist.Open(dir, tight); !errors.Is(err, persist.ErrRestoring) {
			t.Errorf("%v: Open: got %v, want ErrRestoring", c, err)
		}
		meta, err := persist.Restore(file, dir, persist.RestoreOptions{})
		if err != nil {
			t.Errorf("%v: Restore again: %v", c, err)
			continue
		}
		checkRestored(t, dir, meta, r.state.Position(), dump(t, r.state, false))
	}
}

// cutRestores returns what a restore that is cut short leaves: which files are in place,
// and which still in the folder in which it works.
func cutRestores(files []string) (left [][2][]string) {
	for i := range len(files) + 1 {
		left = append(left, [2][]string{nil, files[:i]}) // while they are made
		left = append(left, [2][]string{files[:i], files[i:]})
	}
	return left
}

// A writerFunc is an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// If this failed, a caller that disconnects would leave a backup running, or a failure would pass
// for a whole backup.
func TestBackupEnds(t *testing.T) {
	r := newRig(t, quick())
	r.do(put("k", "v", 0))
	r.mustCheckpoint()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := r.db.Backup(ctx, writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want Canceled", err)
	}
	gone := errors.New("gone")
	if _, err := r.db.Backup(t.Context(), writerFunc(func([]byte) (int, error) { return 0, gone })); err != gone {
		t.Errorf("writer that fails: got %v, want its error", err)
	}
	if n := r.db.Stats().Images; n != 0 {
		t.Errorf("images open after failures: got %d, want 0", n)
	}
	img, err := r.db.OpenBackup()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.db.Close(false); err != nil {
		t.Fatal(err)
	}
	if _, err := img.Read(make([]byte, 1)); !errors.Is(err, persist.ErrImageEnded) {
		t.Errorf("Read after the DB was closed: got %v, want ErrImageEnded", err)
	}
	r.open()
}

// If this failed, a reader that stalls would keep space in the file for ever.
func TestImageTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := quick()
		opts.ImageTimeout = time.Minute
		r := newRig(t, opts)
		defer r.db.Close(false)
		img, err := r.db.OpenBackup()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - time.Second)
		synctest.Wait()
		if _, err := img.Read(make([]byte, 1)); err != nil {
			t.Errorf("before the time is up: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, err := img.Read(make([]byte, 1)); !errors.Is(err, persist.ErrImageEnded) {
			t.Errorf("after it: got %v, want ErrImageEnded", err)
		}
	})
}

// If this failed, compaction would lose something, give nothing back, or disturb a backup.
func TestCompact(t *testing.T) {
	r := newRig(t, quick())
	value := strings.Repeat("x", 2000)
	for i := range 300 {
		r.do(put(fmt.Sprint(i), value, 0))
	}
	once := put("idem", "1", 0)
	once.Idem = kv.Idem{Caller: "c", Key: "x", Fingerprint: [16]byte{1}}
	r.do(once)
	r.mustCheckpoint()
	for i := range 290 {
		r.do(del(fmt.Sprint(i)))
	}
	r.mustCheckpoint()
	r.trimLog()
	want := dump(t, r.state, false)
	before := r.db.Stats()
	img, err := r.db.OpenBackup()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // Compact returns when the image has ended
		file := filepath.Join(r.dir, "image")
		saveTo(t, file, img)
		img.Close()
		state := kv.NewState(kv.StateOptions{Presize: 1})
		if _, err := persist.LoadFile(file, state); err != nil {
			t.Errorf("image read during compaction: %v", err)
		}
	})
	if err := r.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	after := r.db.Stats()
	if after.FileBytes*4 > before.FileBytes || after.Live != before.Live || after.Compactions != 1 {
		t.Errorf("compacted: got %d bytes with %d live records, before %d with %d",
			after.FileBytes, after.Live, before.FileBytes, before.Live)
	}
	r.do(put("more", "v", 0))
	r.mustCheckpoint()
	r.reopen()
	r.do(del("more"))
	equal(t, "compacted, reopened", dump(t, r.state, false)[1:], want[1:])
	if res := r.do(once)[0]; !res.Replayed {
		t.Errorf("idempotency record after compaction: got %+v, want a replay", res)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.db.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Compact with a cancelled context: got %v, want Canceled", err)
	}
}
