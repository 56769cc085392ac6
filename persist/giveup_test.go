package persist_test

import (
	"errors"
	"fmt"
	"testing"

	"keywatch/kv"
	"keywatch/kv/progress"
	"keywatch/persist"
)

// A stop gives up at a transaction of a kind, and notes what the board said then.
type stop struct {
	*rig
	board progress.Board
	// kind is that of the transaction, at how many of them are still to come; 0 if none.
	kind string
	at   int
	said []progress.Report
}

func newStop(t *testing.T) *stop {
	s := new(stop)
	opts := persist.Hooked(tight, s.hook, nil)
	opts.Progress = &s.board
	s.rig = newRig(t, opts)
	for i := range 60 {
		s.do(put(fmt.Sprint("k", i), "v", 0))
	}
	return s
}

func (s *stop) hook(kind string) error {
	if kind == s.kind {
		if s.at--; s.at == 0 {
			s.said = s.board.Running()
			s.db.GiveUp()
		}
	}
	return nil
}

// given checks that work was given up, and that the board knew of it.
func (s *stop) given(work string) {
	s.t.Helper()
	if len(s.said) != 1 || s.said[0].Work != work || s.said[0].Unit != "records" || s.said[0].Done == 0 {
		s.t.Errorf("the board had %+v, want one %s with something done", s.said, work)
	}
	if left := s.board.Running(); len(left) > 0 {
		s.t.Errorf("after the end the board has %+v", left)
	}
	if err := s.checkpoint(); !errors.Is(err, persist.ErrClosed) {
		s.t.Errorf("a checkpoint after that: %v, want ErrClosed", err)
	}
}

// lives checks that nothing was lost, and that the next start works.
func (s *stop) lives() {
	s.t.Helper()
	s.do(put("late", "v", 0)) // the log takes writes until the end
	want := dump(s.t, s.state, false)
	s.reopen()
	equal(s.t, "after the next start", dump(s.t, s.state, false), want)
	s.mustCheckpoint()
	s.reopen()
	equal(s.t, "after another checkpoint", dump(s.t, s.state, false)[1:], want[1:])
}

// If this failed, a checkpoint could hold up a stop for as long as it takes, or giving it up
// would lose what was acknowledged.
func TestGiveUpCheckpoint(t *testing.T) {
	s := newStop(t)
	s.kind, s.at = "records", 3
	if err := s.checkpoint(); !errors.Is(err, persist.ErrClosed) {
		t.Fatalf("checkpoint: %v, want ErrClosed", err)
	}
	s.given("checkpoint")
	s.lives()
}

// If this failed, the sweep behind a checkpoint could hold up a stop, or giving it up would
// undo the checkpoint.
func TestGiveUpSweep(t *testing.T) {
	s := newStop(t)
	s.mustCheckpoint()
	for i := range 59 {
		s.do(del(fmt.Sprint("k", i)))
	}
	s.kind, s.at = "sweep", 2
	if err := s.checkpoint(); err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	s.given("sweep")
	s.lives()
}

// If this failed, a compaction could hold up a stop, or giving it up would leave half a file.
func TestGiveUpCompaction(t *testing.T) {
	s := newStop(t)
	s.mustCheckpoint()
	s.kind, s.at = "records", 3
	if err := s.db.Compact(t.Context()); !errors.Is(err, persist.ErrClosed) {
		t.Fatalf("compact: %v, want ErrClosed", err)
	}
	s.given("compact")
	s.lives()
}

// If this failed, a start that looks through a large file could not be ended, or would call the
// file damaged.
func TestInterruptOpen(t *testing.T) {
	s := newStop(t)
	s.mustCheckpoint()
	want := dump(t, s.state, false)
	if err := s.db.Close(true); err != nil {
		t.Fatal(err)
	}
	opts, quit := s.opts, make(chan struct{})
	opts.Interrupt = quit
	close(quit)
	if db, err := persist.Open(s.dir, opts); !errors.Is(err, persist.ErrClosed) {
		t.Errorf("open: %v, %v, want ErrClosed", db, err)
	}
	if left := s.board.Running(); len(left) > 0 {
		t.Errorf("after the end the board has %+v", left)
	}
	s.open()
	equal(t, "after the next start", dump(t, s.state, false), want)
}

// If this failed, a signal during a long start would be heard when that is over.
func TestGiveUpLoad(t *testing.T) {
	s := newStop(t)
	s.mustCheckpoint()
	want := dump(t, s.state, false)
	if err := s.db.Close(true); err != nil {
		t.Fatal(err)
	}
	db, err := persist.Open(s.dir, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	db.GiveUp()
	if _, err := db.Load(kv.NewState(kv.StateOptions{Presize: 1})); !errors.Is(err, persist.ErrClosed) {
		t.Errorf("load: %v, want ErrClosed", err)
	}
	if left := s.board.Running(); len(left) > 0 {
		t.Errorf("after the end the board has %+v", left)
	}
	if err := db.Close(true); err != nil {
		t.Fatal(err)
	}
	s.open()
	equal(t, "after the next start", dump(t, s.state, false), want)
}
