package object_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist/object"
	"keywatch/persist/object/objecttest"
)

// another is a mover of the same store, as on a copy of the data folder.
func (w *world) another(o object.MoverOptions) *object.Mover {
	o.Store, o.ID, o.State, o.Log, o.Known = w.store, 7, func() *kv.State { return w.state }, w, func() bool { return true }
	if o.Grace == 0 {
		o.Grace = 1
	}
	return object.NewMover(o)
}

func onDisk(r kv.Resident) bool { return r.Tier() != kv.TierObject }

// If two processes that run on copies of one data folder both deleted, each would
// delete what only the other refers to: the first must stop when a second begins.
func TestOneProcessOwnsAStore(t *testing.T) {
	first := newWorld(t, 1, openDir(t))
	first.calm = true
	first.fill(3)
	_, err := first.mover.Move(t.Context(), 0, all)
	must(t, err)
	copied := newWorld(t, 1, first.store.Store) // nothing of it refers to what the first has stored
	copied.calm = true
	copied.fill(3)
	_, err = copied.mover.Move(t.Context(), 0, all)
	must(t, err)

	first.fill(6)
	for range 2 {
		if moved, err := first.mover.Move(t.Context(), 0, onDisk); !errors.Is(err, object.ErrTaken) || moved.Values != 0 {
			t.Errorf("the first moved %+v, %v", moved, err)
		}
	}
	if s, err := first.mover.Tidy(t.Context()); !errors.Is(err, object.ErrTaken) || s.Deleted != 0 {
		t.Errorf("the first tidied %+v, %v", s, err)
	}
	if p := first.mover.Stats().Problem; p != object.ErrTaken.Error() {
		t.Errorf("the figures say %q", p)
	}
	first.checkAll()
	copied.checkAll()
	// Who starts again is the last one, and may.
	again := first.another(object.MoverOptions{Keep: time.Hour})
	moved, err := again.Move(t.Context(), 0, onDisk)
	if err != nil || moved.Values != 6 {
		t.Errorf("started again: %+v, %v", moved, err)
	}
	if s, err := copied.mover.Tidy(t.Context()); !errors.Is(err, object.ErrTaken) || s.Deleted != 0 {
		t.Errorf("the copy tidied %+v, %v", s, err)
	}
	first.checkAll()
}

// If a bucket that was emptied by hand stopped migration for good, a restart
// would be needed for nothing.
func TestClaimIsMadeAnew(t *testing.T) {
	w := newWorld(t, 1, openDir(t))
	w.calm = true
	w.fill(2)
	_, err := w.mover.Move(t.Context(), 0, all)
	must(t, err)
	for info, err := range w.store.List(t.Context(), "") {
		must(t, err)
		if !strings.HasSuffix(info.Name, object.Suffix) {
			must(t, w.store.Delete(t.Context(), info.Name))
		}
	}
	w.fill(4)
	if moved, err := w.mover.Move(t.Context(), 0, onDisk); err != nil || moved.Values != 4 {
		t.Errorf("%+v, %v", moved, err)
	}
}

// writeSegments is the other process of TestTwoProcessesNeverShareAName: it stores
// segments under numbers that others use too, and prints which it got.
func writeSegments(dir string) error {
	s, err := object.Open("dir://"+dir, object.Options{})
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until all are to begin
	w := object.NewWriter()
	for n := range uint64(names) {
		id := object.ID{Store: 7, Epoch: 3, Seq: n}
		err := object.Upload(context.Background(), s, id, object.NewBuilder(id, w, 0).Finish())
		switch {
		case err == nil:
			os.Stdout.WriteString(strconv.FormatUint(n, 10) + "\n")
		case !errors.Is(err, object.ErrTaken):
			return err
		}
	}
	return nil
}

// writerDir makes the test binary such a process, on the folder that it names.
const writerDir = "KEYWATCH_TEST_WRITER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		if err := writeSegments(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// names is how many names the processes fight for.
const names = 200

// If two processes could both believe that a name is theirs, one's references would
// lead to the other's values.
func TestTwoProcessesNeverShareAName(t *testing.T) {
	dir := t.TempDir()
	var running []*exec.Cmd
	var printed []*strings.Builder
	var begin []io.Closer
	for range 3 {
		cmd, out := exec.Command(os.Args[0]), new(strings.Builder)
		cmd.Env = append(os.Environ(), writerDir+"="+dir)
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		stdin, err := cmd.StdinPipe()
		must(t, err)
		defer stdin.Close()
		must(t, cmd.Start())
		begin = append(begin, stdin)
		running, printed = append(running, cmd), append(printed, out)
	}
	for _, stdin := range begin {
		must(t, stdin.Close())
	}
	owner := make(map[string]int)
	for i, cmd := range running {
		must(t, cmd.Wait())
		for name := range strings.Lines(printed[i].String()) {
			if other, taken := owner[name]; taken {
				t.Errorf("processes %d and %d both got name %s", other, i, name)
			}
			owner[name] = i
		}
	}
	if len(owner) != names {
		t.Errorf("%d names were got by somebody, want %d", len(owner), names)
	}
}

// epochEntry is a log entry that begins another history.
func epochEntry(e kv.Epoch) []byte {
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Epoch: e})
	return b.Finish(0)
}

// If a store kept what bears an earlier epoch for ever, each restore and each crash
// would leave its garbage behind; if it went while something referred to it, or
// another store's did, values would be lost.
func TestSegmentsOfEarlierEpochsGo(t *testing.T) {
	w := newWorld(t, 1, new(objecttest.Memory))
	w.calm = true
	w.fill(3)
	_, err := w.mover.Move(t.Context(), 0, all)
	must(t, err)
	foreign := object.ID{Store: 9, Epoch: 1, Seq: 1}
	must(t, w.store.Put(t.Context(), foreign.Name(), object.NewBuilder(foreign, object.NewWriter(), 0).Finish()))
	w.apply(epochEntry(77))
	w.checkpoint()
	if s, err := w.mover.Tidy(t.Context()); err != nil || s.Deleted != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	for id := range w.state.Segments() {
		if id.Epoch != 77 {
			t.Errorf("%v was not copied", id)
		}
	}
	w.checkAll()
	left := func() (n int) {
		for info, err := range w.store.List(t.Context(), "") {
			must(t, err)
			if _, ok := object.ParseName(info.Name); ok {
				n++
			}
		}
		return n
	}
	if left() != 2 {
		t.Errorf("%d segments are left, want one and the foreign one", left())
	}
	sole := w.another(object.MoverOptions{Sole: true})
	if s, err := sole.Tidy(t.Context()); err != nil || s.Deleted != 1 || left() != 1 {
		t.Errorf("where nobody else stores: %+v, %v, %d left", s, err, left())
	}
	w.checkAll()
}

// If one lost object stopped tidying and moving, garbage would pile up and the disk
// would fill; if what memory still has of it were not stored again, it would be lost
// with the next eviction.
func TestLostSegmentHoldsNothingUp(t *testing.T) {
	w := newWorld(t, 1, new(objecttest.Memory))
	w.calm = true
	w.fill(40)
	w.mover = w.another(object.MoverOptions{SegmentSize: 1 << 20})
	_, err := w.mover.Move(t.Context(), 3000, all)
	must(t, err)
	w.checkpoint()
	_, _, err = w.state.Read(t.Context(), "fill/0")
	must(t, err)
	var lost object.ID
	for id := range w.state.Segments() {
		lost = object.ID{Store: 7, Epoch: id.Epoch, Seq: id.Seq}
		must(t, w.store.Delete(t.Context(), lost.Name()))
	}
	s, err := w.mover.Tidy(t.Context())
	if err != nil || s.Missing != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	w.state.Evict(1 << 20)
	if e, _, err := w.state.Read(t.Context(), "fill/0"); err != nil || e.Value() != w.model["fill/0"] {
		t.Errorf("what was in memory: %v, %v", e, err)
	}
	gets := 0
	w.store.Choose = func(c objecttest.Call, name string) objecttest.Fault {
		if c == objecttest.Get && name == lost.Name() {
			gets++
		}
		return objecttest.None
	}
	moved, err := w.mover.Move(t.Context(), 0, all)
	if !errors.Is(err, kv.ErrDamaged) || !strings.Contains(err.Error(), lost.Name()) || moved.Values != 11 {
		t.Errorf("moved %+v, %v", moved, err)
	}
	if p := w.mover.Stats().Problem; !strings.Contains(p, lost.Name()) {
		t.Errorf("the figures say %q and not which", p)
	}
	if want := 16; gets != want {
		t.Errorf("%d requests for a lost object, want %d", gets, want)
	}
}
