package kv_test

import (
	"context"
	"errors"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// A prompt log answers at once, unless slow is set, and begins what it is given.
type promptLog struct {
	*kvtest.Direct
	slow bool
}

func (l *promptLog) ReadBarrierNow() error {
	if l.slow {
		return kv.ErrWouldWait
	}
	return nil
}

func (l *promptLog) Begin(c *kv.Command) (kv.Pending, error) {
	r, err := l.Propose(context.Background(), c)
	return applied{r, err}, nil
}

type applied struct {
	result kv.Result
	err    error
}

func (p applied) Done() <-chan struct{}      { c := make(chan struct{}); close(c); return c }
func (p applied) Result() (kv.Result, error) { return p.result, p.err }
func (p applied) Notify(w kv.Waker)          { w.Wake() }

// A narrow gate has no room.
type narrowGate struct{}

func (narrowGate) Admit(context.Context, int64) error { return kv.ErrMemoryFull }
func (narrowGate) TryAdmit(int64) bool                { return false }
func (narrowGate) Placed(int64)                       { panic("nothing was admitted") }

// If this failed, one request whose value is on disk, or that waits for memory or for another
// server, would hold up all connections of its event loop; or what would wait would be half done.
func TestWhatWouldWaitIsNotDone(t *testing.T) {
	s := newShelf(t, kv.StateOptions{})
	log := &promptLog{Direct: s.log}
	store := kv.NewStore(s.state, log, kv.Limits{})
	read := func(want error) {
		t.Helper()
		if e, _, err := store.GetNow("a"); !errors.Is(err, want) || err == nil && e.Value() != value("a") {
			t.Errorf("get: got %v, %v, want %v", e, err, want)
		}
	}
	begin := func(c *kv.Command, want error) kv.Begun {
		t.Helper()
		before := s.state.Position()
		p, err := store.BeginNow(c)
		if !errors.Is(err, want) || (err != nil) != (s.state.Position() == before) {
			t.Errorf("begin: got %v, want %v; position went from %v to %v", err, want, before, s.state.Position())
		}
		return p
	}
	put := &kv.Command{Ops: []kv.Op{kvtest.Put("b", "1")}}
	if e, _, err := store.GetNow("a"); e != nil || err != nil {
		t.Errorf("a key that does not exist: got %v, %v", e, err)
	}
	s.put("a", value("a"))
	read(nil)
	log.slow = true
	read(kv.ErrWouldWait)
	log.slow = false
	s.cold("a")
	read(kv.ErrWouldWait)
	begin(&kv.Command{Ops: []kv.Op{get("b")}}, kv.ErrWouldWait)
	begin(&kv.Command{Ops: []kv.Op{kvtest.Put("/", "1")}}, kv.ErrBadKey)

	shows := begin(&kv.Command{Ops: []kv.Op{kvtest.Put("b", "1"), get("a")}}, nil)
	if r, err := shows.ResultNow(); !errors.Is(err, kv.ErrWouldWait) {
		t.Errorf("a result with a value on disk: got %v, %v", r, err)
	}
	if r, err := shows.Result(); err != nil || r.Ops[1].Entry.Value() != value("a") {
		t.Errorf("the same after a wait: got %v, %v", r, err)
	}
	if r, err := begin(put, nil).ResultNow(); err != nil || r.Ops[0].Entry.Value() != "1" {
		t.Errorf("a result in memory: got %v, %v", r, err)
	}
	store.Guard(narrowGate{})
	begin(put, kv.ErrWouldWait)
	if _, err := s.store.BeginNow(put); !errors.Is(err, kv.ErrWouldWait) {
		t.Errorf("a log that cannot begin: got %v", err)
	}
}
