package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"keywatch/kv"
)

// A rack is a cold reader that has what checkpoints of its state held, until it is cleared.
type rack map[kv.Locator][]byte

func (s rack) ReadCold(_ context.Context, ref kv.ColdRef) (string, error) {
	b, ok := s[ref.At]
	if !ok {
		return "", kv.ErrColdGone
	}
	return ref.ParseValue(b)
}

// coldState returns a state with 20 large values of which none is in memory, and where they are.
func coldState(t *testing.T) (*kv.State, rack) {
	t.Helper()
	on := make(rack)
	s := kv.NewState(kv.StateOptions{Presize: 64, Cold: on})
	for i := range 20 {
		var b kv.EntryBuilder
		b.Add(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: fmt.Sprintf("k%02d", i), Value: []byte(strings.Repeat("x", 900) + fmt.Sprint(i))}}})
		if _, err := s.Apply(uint64(i+1), 1, b.Finish(0)); err != nil {
			t.Fatal(err)
		}
	}
	cp, err := s.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	for r := range cp.Records() {
		on[r.Locator()] = r.AppendTo(nil)
	}
	cp.Commit()
	for s.Evict(1<<20) > 0 {
	}
	if e, _ := s.Get("k00"); !e.Cold() {
		t.Fatal("a value is still in memory")
	}
	return s, on
}

// Trap 19: a long list of values on disk, under way while the state of another server takes the place of
// this one's, must end as one that was ended, and not as damage; reads go on with the other state.
func TestRetiredStateIsNotDamaged(t *testing.T) {
	old, rack := coldState(t)
	store := kv.NewStore(old, nothing{}, kv.Limits{})
	snap, err := store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	read := 0
	var failed error
	for key, e := range snap.Scan("", "") {
		if read == 7 { // the file is another server's now
			old.Retire()
			clear(rack)
		}
		if _, failed = snap.Resolve(t.Context(), key, e); failed != nil {
			break
		}
		read++
	}
	if read != 7 || !errors.Is(failed, kv.ErrSnapshotLost) || !errors.Is(snap.Err(), kv.ErrSnapshotLost) {
		t.Errorf("after %d values: got %v and %v, want %v", read, failed, snap.Err(), kv.ErrSnapshotLost)
	}
	if _, _, err := old.Read(t.Context(), "k01"); !errors.Is(err, kv.ErrSnapshotLost) {
		t.Errorf("a read of the old state: got %v, want %v", err, kv.ErrSnapshotLost)
	}
	if _, _, err := store.Get(t.Context(), "k01"); !errors.Is(err, kv.ErrStarting) {
		t.Errorf("before there is another: got %v, want %v", err, kv.ErrStarting)
	}
	if _, err := store.Snapshot(t.Context()); !errors.Is(err, kv.ErrStarting) {
		t.Errorf("a snapshot before there is another: got %v, want %v", err, kv.ErrStarting)
	}
	next, _ := coldState(t)
	store.Replace(next)
	if e, _, err := store.Get(t.Context(), "k01"); err != nil || !strings.HasSuffix(e.Value(), "x1") {
		t.Errorf("after that: got %v, %v", e, err)
	}
	if s, err := store.Snapshot(t.Context()); err != nil {
		t.Errorf("a snapshot after that: %v", err)
	} else {
		s.Close()
	}
}

// What a state publishes after it was retired would be told twice: the next one has it too.
func TestRetiredStateTellsNobody(t *testing.T) {
	p := new(told)
	s := kv.NewState(kv.StateOptions{Presize: 64, Publisher: p})
	apply := func(s *kv.State, index uint64) {
		var b kv.EntryBuilder
		b.Add(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "k", Value: []byte("v")}}})
		if _, err := s.Apply(index, 1, b.Finish(0)); err != nil {
			t.Fatal(err)
		}
	}
	apply(s, 1)
	s.Retire()
	apply(s, 2)
	if p.events != 1 || p.resets != 0 {
		t.Errorf("%d events and %d resets, want 1 and 0", p.events, p.resets)
	}
	next := kv.NewState(kv.StateOptions{Presize: 64})
	apply(next, 1)
	apply(next, 2)
	next.Follow(p)
	apply(next, 3)
	if p.events != 2 || p.resets != 1 {
		t.Errorf("%d events and %d resets, want 2 and 1", p.events, p.resets)
	}
}

type told struct{ events, resets int }

func (p *told) Publish(events []kv.Event, _ kv.Position) { p.events += len(events) }
func (p *told) Reset(kv.Position)                        { p.resets++ }

// nothing is a log that takes no command.
type nothing struct{}

func (nothing) Propose(context.Context, *kv.Command) (kv.Result, error) {
	return kv.Result{}, kv.ErrNoLeader
}
func (nothing) ReadBarrier(context.Context) error { return nil }
func (nothing) Now() int64                        { return 0 }
