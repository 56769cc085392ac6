package persist_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// incoming is the file of a checkpoint that is received.
const incoming = "checkpoint.incoming"

// everybody stands for the members of a store of several servers.
var everybody = []byte("members")

// twins are two folders of one store with several servers: to has the first entries and a checkpoint of
// some, and then a tail of so many that never were committed; from has more of them.
func twins(t *testing.T, opts persist.Options, tail int) (from, to *rig) {
	t.Helper()
	from, to = newRig(t, quick()), newRig(t, opts)
	both := func(i int) {
		from.do(put(fmt.Sprint("k", i%7), fmt.Sprint(i), 0), put(fmt.Sprint("big", i%3), strings.Repeat("x", 700)+fmt.Sprint(i), 0))
	}
	for i := range 20 {
		both(i)
		to.do(put(fmt.Sprint("k", i%7), fmt.Sprint(i), 0), put(fmt.Sprint("big", i%3), strings.Repeat("x", 700)+fmt.Sprint(i), 0))
		if i == 12 {
			to.memberCheckpoint()
		}
	}
	for i := range tail {
		to.do(put(fmt.Sprint("tail", i), "never committed", 0))
	}
	for i := range 30 {
		from.index++
		data := kv.EncodeEntry(from.time, put(fmt.Sprint("k", i%9), fmt.Sprint("later ", i), 0), del(fmt.Sprint("k", i%4)))
		if err := from.db.Log().Append(&wal.Entry{Index: from.index, Term: 2, Data: data}); err != nil {
			t.Fatal(err)
		}
		if _, err := from.state.Apply(from.index, 2, data); err != nil {
			t.Fatal(err)
		}
	}
	from.memberCheckpoint()
	return from, to
}

// memberCheckpoint makes a checkpoint of a store with several servers, as the cluster does.
func (r *rig) memberCheckpoint() {
	r.t.Helper()
	cp, err := r.state.Freeze()
	if err == nil {
		err = r.db.Checkpoint(cp, cp.Meta().Index, cp.Meta().Term, everybody)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// receive stages the last checkpoint of another folder.
func (r *rig) receive(from *rig) *persist.Staged {
	r.t.Helper()
	img, err := from.db.OpenImage()
	if err != nil {
		r.t.Fatal(err)
	}
	defer img.Close()
	s, err := r.db.Stage(img.Size())
	if err == nil {
		_, err = io.Copy(s, img)
	}
	if err == nil {
		err = s.Verify(img.Last())
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// install installs what was staged, as the cluster does, and loads it.
func (r *rig) install(s *persist.Staged) error {
	r.t.Helper()
	if err := s.Install(); err != nil {
		return err
	}
	index, _, _ := r.db.Last()
	if err := r.db.Log().Discard(index); err != nil {
		return err
	}
	r.state = kv.NewState(kv.StateOptions{Presize: 256, Cold: r.db, MemoryMax: r.memory})
	meta, err := r.db.Load(r.state)
	r.index = meta.Index
	return err
}

// If this failed, a server that got the state of another would have something else, or could not go on
// from there: write, make checkpoints, read values that have left memory, start again.
func TestInstallTakesTheStateOfAnother(t *testing.T) {
	for _, tail := range []int{0, 3, 80} {
		from, to := twins(t, quick(), tail)
		to.memory = 8 << 10 // some values stay on disk
		old, err := to.db.OpenBackup()
		if err != nil {
			t.Fatal(err)
		}
		if err := to.install(to.receive(from)); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, old); err != nil || n != old.Size() {
			t.Errorf("who reads the file of before: got %d of %d bytes, %v", n, old.Size(), err)
		}
		old.Close()
		e, _, err := to.state.Read(t.Context(), "big1")
		if err != nil || !strings.HasPrefix(e.Value(), "xxx") {
			t.Errorf("a value on disk: got %v, %v", e, err)
		}
		for range 2 {
			to.do(put("after", "it", 0))
			from.do(put("after", "it", 0))
			to.memory = 0
			to.reopen()
			equal(t, "after a start", dump(t, to.state, true), dump(t, from.state, true))
			to.memberCheckpoint()
			from.memberCheckpoint()
		}
		if to.db.Stats().Installs != 0 {
			t.Error("installs are counted from another life")
		}
	}
}

// If this failed, a crash in the middle of an install would be called damage, or forget what was
// acknowledged: until the file has its name the folder is that of before, then that of the other.
func TestInstallCutAtEveryStep(t *testing.T) {
	for _, tail := range []int{0, 3, 80} {
		var from, to *rig
		var old, now []string
		root, n, step := t.TempDir(), 0, ""
		cut := func(want []string) {
			for _, loss := range []faultfs.Loss{faultfs.DropAll, faultfs.DropNone} {
				n++
				dir := mkdir(t, root, n)
				copyFolder(t, to.dir, dir)
				image := &rig{t: t, dir: dir, opts: quick(), fs: movedFS(to.fs.Crash(loss), to.dir, dir), time: to.time}
				what := fmt.Sprintf("tail of %d, cut at %s", tail, step)
				if err := image.tryOpen(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				equal(t, what, dump(t, image.state, false), want)
				if _, err := os.Stat(filepath.Join(dir, incoming)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: what was received is still there: %v", what, err)
				}
				image.do(put("after", "it", 0))
				image.memberCheckpoint()
				image.reopen()
				image.db.Close(false)
			}
		}
		renamed := false
		opts := persist.Hooked(tight, func(kind string) error {
			if now == nil {
				return nil
			}
			if step = kind; kind == "sync folder" {
				renamed = true
			}
			if want := old; step != "trim" && step != "idem" {
				if renamed {
					want = now
				}
				cut(want)
			}
			return nil
		}, nil)
		from, to = twins(t, opts, tail)
		s := to.receive(from)
		old, now = dump(t, to.state, false), dump(t, from.state, false)
		if err := to.install(s); err != nil {
			t.Fatal(err)
		}
		step = "the end"
		cut(now)
		if n < 10 {
			t.Errorf("only %d cuts", n)
		}
	}
}

// If this failed, a power cut while the log of before an install is discarded would leave a folder that
// does not start.
func TestInstallCutInTheLog(t *testing.T) {
	for at, cut := 1, true; cut; at++ {
		from, to := twins(t, quick(), 40)
		s := to.receive(from)
		want := dump(t, from.state, false)
		to.fs.CutAt(at)
		err := to.install(s)
		if cut = errors.Is(err, faultfs.ErrPowerCut); !cut && err != nil {
			t.Fatal(err)
		}
		image := to.copyTo(t.TempDir())
		if err := image.tryOpen(); err != nil {
			t.Fatalf("cut in operation %d: %v", at, err)
		}
		equal(t, fmt.Sprintf("cut in operation %d", at), dump(t, image.state, false), want)
		image.db.Close(false)
		to.db.Close(false)
		from.db.Close(false)
	}
}

// If this failed, what came damaged, or was not what was announced, would become the state.
func TestReceivedCheckpointIsVerified(t *testing.T) {
	from, to := twins(t, quick(), 0)
	img, err := from.db.OpenImage()
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	whole, err := io.ReadAll(img)
	if err != nil {
		t.Fatal(err)
	}
	index, term, members := img.Last()
	verify := func(b []byte, size int, index, term uint64, members []byte) error {
		s, err := to.db.Stage(int64(size))
		if err != nil {
			return err
		}
		defer s.Discard()
		if _, err := s.Write(b); err != nil {
			return err
		}
		return s.Verify(index, term, members)
	}
	flipped := bytes.Replace(whole, []byte("later 29"), []byte("later 28"), 1)
	n := len(whole)
	for what, err := range map[string]error{
		"a byte short":       verify(whole[:n-1], n, index, term, members),
		"shorter":            verify(whole[:n/2], n/2, index, term, members),
		"longer":             verify(append(whole, 0), n, index, term, members),
		"a record changed":   verify(flipped, n, index, term, members),
		"another index":      verify(whole, n, index+1, term, members),
		"another term":       verify(whole, n, index, term+1, members),
		"other members":      verify(whole, n, index, term, []byte("others")),
		"a later release's":  verify(persist.LaterHeader(bytes.Clone(whole)), n, index, term, members),
		"of another program": verify(persist.OtherBolt(), len(persist.OtherBolt()), index, term, members),
	} {
		if err == nil {
			t.Errorf("%s: it was accepted", what)
		}
	}
	if err := verify(whole, n, index, term, members); err != nil {
		t.Errorf("the whole one: %v", err)
	}
	if _, err := os.Stat(filepath.Join(to.dir, incoming)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was refused is still there: %v", err)
	}
}

// If this failed, receiving a checkpoint would fill the disk, or two would share a file.
func TestStageKeepsRoom(t *testing.T) {
	_, to := twins(t, quick(), 0)
	s, err := to.db.Stage(1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.db.Stage(1000); !errors.Is(err, persist.ErrStaging) {
		t.Errorf("a second one: got %v, want %v", err, persist.ErrStaging)
	}
	if err := s.Discard(); err != nil {
		t.Error(err)
	}
	to.fs.Limit(1 << 40)
	free, _ := to.fs.Free(to.dir)
	if _, err := to.db.Stage(free - 64<<20 + 1); !errors.Is(err, kv.ErrDiskFull) {
		t.Errorf("without room for it: got %v, want %v", err, kv.ErrDiskFull)
	}
	s, err = to.db.Stage(free - 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Discard(), s.Discard()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(to.dir, incoming), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	to.reopen()
	if _, err := os.Stat(filepath.Join(to.dir, incoming)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what an earlier life received is still there: %v", err)
	}
}

// If this failed, a checkpoint of the state of before would be written over the one that was installed,
// or an install would wait until it is written.
func TestCheckpointIsOvertaken(t *testing.T) {
	var to *rig
	var s *persist.Staged
	done := make(chan error, 1)
	opts := persist.Hooked(tight, func(kind string) error {
		if staged := s; staged != nil && kind == "records" {
			s = nil
			go func() { done <- staged.Install() }()
			for !to.db.Overtaken() {
			}
		}
		return nil
	}, nil)
	from, behind := twins(t, opts, 0)
	to = behind
	cp, err := to.state.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	staged := to.receive(from)
	s = staged
	if err := to.db.Checkpoint(cp, to.index, 1, everybody); !errors.Is(err, persist.ErrOvertaken) {
		t.Errorf("under way: got %v, want %v", err, persist.ErrOvertaken)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// One that was frozen before, and comes after, is of a state that is no more.
	if cp, err = to.state.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := to.db.Checkpoint(cp, to.index, 1, everybody); !errors.Is(err, persist.ErrOvertaken) {
		t.Errorf("afterwards: got %v, want %v", err, persist.ErrOvertaken)
	}
	index, _, _ := to.db.Last()
	if err := to.db.Log().Discard(index); err != nil {
		t.Fatal(err)
	}
	to.reopen()
	equal(t, "the state", dump(t, to.state, false), dump(t, from.state, false))
}

// If this failed, a log that is an earlier copy would pass for that of before an install, and be
// discarded.
func TestInstallStillKnowsItsLog(t *testing.T) {
	from, to := twins(t, quick(), 0)
	early := to.copyTo(t.TempDir()).fs
	for i := range 10 {
		to.do(put(fmt.Sprint("more", i), "v", 0))
	}
	if err := to.receive(from).Install(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyFolder(t, to.dir, dir)
	image := &rig{t: t, dir: dir, opts: quick(), time: to.time}
	image.fs = faultfs.New(1)
	for _, name := range early.Names() {
		image.fs.SetContent(filepath.Join(dir, filepath.Base(name)), early.Content(name))
	}
	if err := image.tryOpen(); !errors.Is(err, disk.ErrOutdated) {
		t.Errorf("got %v, want %v", err, disk.ErrOutdated)
	}
}
