package persist_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// If this failed, a process that dies between two transactions of a checkpoint, a sweep or a
// compaction would start with another state than it acknowledged.
func TestCrashAtEveryCommit(t *testing.T) {
	var r *rig
	var images []*rig
	var wants [][]string
	kinds := map[string]int{}
	root := t.TempDir()
	after := func(kind string) {
		kinds[kind]++
		images = append(images, r.copyTo(mkdir(t, root, len(images))))
		wants = append(wants, dump(t, r.state, false))
	}
	opts := persist.Hooked(tight, nil, after)
	r = &rig{t: t, dir: t.TempDir(), opts: opts, fs: faultfs.New(1), time: 1000}
	r.open()
	defer func() { r.db.Close(false) }()
	r.params(kv.Params{TombstoneMax: 3, IdemAge: 300 * time.Millisecond})
	p := &play{rig: r, rng: newPlay(t, 3, tight).rng}
	for i := range 12 {
		for range 10 {
			p.time += 50
			p.do(p.command())
		}
		p.mustCheckpoint()
		if i%2 == 0 {
			p.trimLog()
		}
		if i%5 == 4 {
			if err := p.db.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, kind := range []string{"records", "idem", "leases", "private", "header", "seal", "trim", "sweep"} {
		if kinds[kind] == 0 {
			t.Errorf("no transaction of kind %q happened", kind)
		}
	}
	for i, img := range images {
		img.opts = quick()
		if err := img.tryOpen(); err != nil {
			t.Fatalf("image %d: %v", i, err)
		}
		equal(t, fmt.Sprintf("image %d", i), dump(t, img.state, false), wants[i])
		img.db.Close(false)
	}
}

// If this failed, a checkpoint that fails in any of its steps would damage the one before it,
// or lose what it was to write.
func TestCheckpointFailsAtEveryStep(t *testing.T) {
	for at := 1; ; at++ {
		n := 0
		opts := persist.Hooked(tight, func(string) error {
			if n++; n == at {
				return errHook
			}
			return nil
		}, nil)
		n = 1 << 20
		r := newRig(t, opts)
		for i := range 20 {
			r.do(put(fmt.Sprint(i), "v", 0))
		}
		r.mustCheckpoint()
		before, _ := r.db.Meta()
		for i := range 20 {
			c := put(fmt.Sprint(i/2), "w", 0)
			c.Idem = kv.Idem{Caller: "c", Key: fmt.Sprint(i), Fingerprint: [16]byte{1}}
			r.do(c, del(fmt.Sprint(i)))
		}
		want := dump(t, r.state, false)
		n = 0
		err := r.checkpoint()
		reached := n >= at
		meta, _ := r.db.Meta()
		if errors.Is(err, errHook) && meta != before || err == nil && meta == before {
			t.Fatalf("step %d: checkpoint returned %v and meta went from %+v to %+v", at, err, before, meta)
		}
		n = 1 << 20
		img := r.copyTo(t.TempDir())
		img.open()
		equal(t, fmt.Sprintf("crash after step %d failed", at), dump(t, img.state, false), want)
		img.db.Close(false)
		r.mustCheckpoint()
		r.trimLog()
		if raw, _ := r.db.RawRecords(); int64(raw) != r.db.Stats().Records {
			t.Errorf("step %d: the file holds %d records, want %d", at, raw, r.db.Stats().Records)
		}
		r.reopen()
		equal(t, fmt.Sprintf("checkpoint after step %d failed", at), dump(t, r.state, false), want)
		r.db.Close(false)
		if !reached {
			if at < 8 {
				t.Fatalf("only %d steps", at)
			}
			return
		}
	}
}

// If this failed, a compaction cut short would leave a folder that does not start, or a file too
// many.
func TestCompactFailsAtEveryStep(t *testing.T) {
	for at := 1; ; at++ {
		n := 1 << 20
		r := newRig(t, persist.Hooked(tight, func(string) error {
			if n++; n == at {
				return errHook
			}
			return nil
		}, nil))
		for i := range 40 {
			r.do(put(fmt.Sprint(i%25), "v", 0), del(fmt.Sprint(i/2)))
		}
		r.mustCheckpoint()
		r.trimLog()
		want := dump(t, r.state, true)
		n = 0
		err := r.db.Compact(t.Context())
		if (err != nil) != (n >= at) {
			t.Fatalf("step %d of %d: got %v", at, n, err)
		}
		if _, serr := os.Stat(filepath.Join(r.dir, persist.CheckpointTemp)); !errors.Is(serr, os.ErrNotExist) {
			t.Errorf("step %d: the temporary file is still there: %v", at, serr)
		}
		done := n < at
		n = 1 << 20
		// A crash leaves the file, which the next start removes.
		if err := os.WriteFile(filepath.Join(r.dir, persist.CheckpointTemp), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.reopen()
		equal(t, fmt.Sprintf("step %d", at), dump(t, r.state, true), want)
		r.mustCheckpoint()
		r.db.Close(false)
		if done {
			return
		}
	}
}

// If this failed, a power cut while fsyncs are deferred would leave a log that ends before the
// checkpoint, and the writes between would be lost although the checkpoint was made.
func TestPowerCutWithInterval(t *testing.T) {
	opts := quick()
	opts.Sync, opts.Interval = wal.SyncInterval, 1<<40
	r := newRig(t, opts)
	for range 3 {
		for i := range 10 {
			r.do(put(fmt.Sprint(i), "v", 0))
		}
		atCheckpoint := dump(t, r.state, false)
		r.mustCheckpoint()
		meta, _ := r.db.Meta()
		r.do(put("lost", "v", 0))
		cut := r.copyTo(t.TempDir())
		cut.open()
		if last, _ := cut.db.Log().LastIndex(); last != meta.Index {
			t.Errorf("log after the cut: got last index %d, want %d", last, meta.Index)
		}
		if cut.db.Clean() {
			t.Error("Clean after a power cut: got true")
		}
		equal(t, "after the cut", dump(t, cut.state, false), atCheckpoint)
		cut.db.Close(false)
	}
}

// If this failed, a power cut in some operation of the log, between or within checkpoints, would lose
// an acknowledged write or leave a folder that does not start.
func TestPowerCutAtEveryLogOp(t *testing.T) {
	for at := 1; ; at += 1 + at/20 {
		if !cutLogAt(t, at) {
			return
		}
	}
}

// cutLogAt writes, makes checkpoints and shortens the log until the power is cut in the at-th
// operation, and opens what is left. It returns false if that operation was never reached.
func cutLogAt(t *testing.T, at int) bool {
	t.Helper()
	r := newRig(t, quick())
	defer func() { r.db.Close(false) }()
	r.fs.CutAt(at)
	want := dump(t, r.state, false)
	alive := func(err error) bool {
		if err != nil && !errors.Is(err, faultfs.ErrPowerCut) {
			t.Fatalf("cut in operation %d: %v", at, err)
		}
		return err == nil
	}
	for i := range 60 {
		data := kv.EncodeEntry(r.time, put(fmt.Sprint(i%9), fmt.Sprint(i), 0), del(fmt.Sprint(i%4)))
		ok := alive(r.store(data))
		if ok {
			if _, err := r.state.Apply(r.index, 1, data); err != nil {
				t.Fatal(err)
			}
			want = dump(t, r.state, false)
		}
		if ok && i%7 == 6 {
			ok = alive(r.checkpoint())
		}
		if meta, made := r.db.Meta(); ok && made && i%14 == 13 {
			ok = alive(r.db.Log().DeleteRange(0, meta.Index))
		}
		if ok {
			continue
		}
		cut := r.copyTo(t.TempDir())
		if err := cut.tryOpen(); err != nil {
			t.Fatalf("cut in operation %d: open: %v", at, err)
		}
		defer cut.db.Close(false)
		got := dump(t, cut.state, false)
		if diff(got, want) == "" {
			return true
		}
		// The entry that was not acknowledged may be there, whole.
		if _, err := r.state.Apply(r.index, 1, data); err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprintf("cut in operation %d", at), got, dump(t, r.state, false))
		return true
	}
	return false
}

// positions returns the places within a file at which damage is tried: all of the first two
// pages and of each page's head, and every step-th byte beyond.
func positions(size, step int) (at []int) {
	for i := range size {
		if i%4096 < 64 || i%step == 0 {
			at = append(at, i)
		}
	}
	return at
}

// smallFile returns a checkpoint file of a few pages and the dump of the state it holds.
func smallFile(t *testing.T) (path string, want []string) {
	t.Helper()
	r := newRig(t, quick())
	for i := range 60 {
		c := put(fmt.Sprintf("key/%d", i%30), fmt.Sprint("value ", i), 0)
		c.Idem = kv.Idem{Caller: "c", Key: fmt.Sprint(i), Fingerprint: [16]byte{1}}
		leased := put(fmt.Sprint("leased/", i%7), "", 0)
		leased.Ops[0].Lease = leaseID(i + 1)
		r.do(c, del(fmt.Sprintf("key/%d", i/3)),
			&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: leaseID(i + 1), TTL: time.Hour}}, leased)
		r.do(privatePut(fmt.Sprint("cred/", i%9), fmt.Sprint("sealed ", i)))
		if i%15 == 14 {
			r.mustCheckpoint()
		}
	}
	path = filepath.Join(t.TempDir(), "file")
	r.backup(path)
	return path, dump(t, r.state, true)
}

// judgeFile loads a damaged file: it must be refused as damaged, or hold what it held.
func judgeFile(t *testing.T, what, path string, want []string) (refused bool) {
	t.Helper()
	state := kv.NewState(kv.StateOptions{Presize: 1})
	_, err := persist.LoadFile(path, state)
	var d *disk.DamageError
	if err != nil && !(errors.As(err, &d) && d.File == path && d.Reason != "" && d.Remedy != "") {
		t.Fatalf("%s: got %v, want a DamageError", what, err)
	}
	if err == nil {
		equal(t, what, dump(t, state, true), want)
	}
	return err != nil
}

// If this failed, a flipped bit in the checkpoint file would crash the process or change data
// without anyone knowing.
func TestFlippedBitsInCheckpoint(t *testing.T) {
	path, want := smallFile(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	step := 211
	if os.Getenv("KEYWATCH_EVERY_BIT") != "" {
		step = 1
	}
	refused, tried := 0, 0
	for _, at := range positions(len(whole), step) {
		bits := []int{at % 8}
		if step == 1 {
			bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
		}
		for _, bit := range bits {
			flip := func(b byte) {
				if _, err := f.WriteAt([]byte{b}, int64(at)); err != nil {
					t.Fatal(err)
				}
			}
			flip(whole[at] ^ 1<<bit)
			tried++
			if judgeFile(t, fmt.Sprintf("bit %d of byte %d", bit, at), path, want) {
				refused++
			}
			flip(whole[at])
		}
	}
	t.Logf("%d of %d flipped bits refused, in a file of %d bytes", refused, tried, len(whole))
	if refused < tried/10 {
		t.Errorf("only %d of %d flipped bits were refused", refused, tried)
	}
}

// If this failed, the loss of the meta page that was written last would take the file back to the
// checkpoint before, whose log is gone.
func TestLostMetaPage(t *testing.T) {
	for page := range 2 {
		r := newRig(t, quick())
		for i := range 3 {
			r.do(put(fmt.Sprint(i), "v", 0))
			r.mustCheckpoint()
			r.trimLog()
		}
		want := dump(t, r.state, true)
		if err := r.db.Close(true); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(r.dir, persist.CheckpointName)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(b[page*4096:][:4096])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r.open()
		equal(t, fmt.Sprintf("without meta page %d", page), dump(t, r.state, true), want)
	}
}

// If this failed, a checkpoint file that was cut off would crash the process or pass for whole.
func TestTruncatedCheckpoint(t *testing.T) {
	path, want := smallFile(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := info.Size() - 1; size >= 0; size -= 509 {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if !judgeFile(t, fmt.Sprintf("cut to %d bytes", size), path, want) {
			t.Errorf("a file cut to %d of %d bytes was taken", size, info.Size())
		}
	}
}
