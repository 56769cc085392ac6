package kv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"keywatch/kv"
)

// A heldWorld is a state with one value, in a segment, and what was read of it.
type heldWorld struct {
	state *kv.State
	reads int
	gone  bool
	gate  chan struct{} // a read waits until it is closed
}

const shelved = "a value that is long enough to be dropped from memory, and is"

func (s *heldWorld) ReadCold(ctx context.Context, ref kv.ColdRef) (string, error) {
	s.reads++
	if s.gate != nil {
		<-s.gate
	}
	if s.gone || ref.Tier != kv.TierObject {
		return "", errors.New("gone")
	}
	return shelved, nil
}

// newHeldWorld writes the key k, makes a checkpoint and moves the value.
func newHeldWorld(t *testing.T) *heldWorld {
	s := &heldWorld{}
	s.state = kv.NewState(kv.StateOptions{Cold: s, ColdMin: 1, Presize: 16})
	s.apply(t, 1, &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "k", Value: []byte(shelved)}}})
	s.checkpoint(t)
	s.move(t, 2, 1)
	s.checkpoint(t)
	return s
}

func (s *heldWorld) apply(t *testing.T, index uint64, c *kv.Command) kv.Result {
	t.Helper()
	r, err := s.state.Apply(index, 1, kv.EncodeEntry(0, c))
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

// move puts the value into the segment numbered seq.
func (s *heldWorld) move(t *testing.T, index, seq uint64) {
	t.Helper()
	for r := range s.state.Residents() {
		c := &kv.Refer{Segment: kv.SegmentID{Store: 1, Seq: seq}, Refs: []kv.Ref{{Key: r.Key, At: r.At(), Size: r.Size(), Hash: r.Hash()}}}
		if got := s.apply(t, index, &kv.Command{Refer: c}); got.Referred != 1 {
			t.Fatalf("move: %+v", got)
		}
	}
}

func (s *heldWorld) checkpoint(t *testing.T) (records []kv.Record) {
	t.Helper()
	cp, err := s.state.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	for r := range cp.Records() {
		records = append(records, r)
	}
	cp.Commit()
	return records
}

// read reads the key and says from which tier.
func (s *heldWorld) read(t *testing.T) kv.Tier {
	t.Helper()
	e, _, err := s.state.Read(t.Context(), "k")
	if err != nil || e.Value() != shelved || e.Size() != len(shelved) {
		t.Fatalf("got %+v, %v", e, err)
	}
	return e.Tier()
}

// If a value from object storage did not stay in memory, each read of a key that
// became hot again would cost a request; if that detached it from its segment, the
// segment would be deleted and the value lost with the next eviction.
func TestReadFromSegmentStaysInMemory(t *testing.T) {
	s := newHeldWorld(t)
	for _, want := range []kv.Tier{kv.TierObject, kv.TierMemory, kv.TierMemory} {
		if got := s.read(t); got != want {
			t.Errorf("read from %s, want %s", got, want)
		}
	}
	if s.reads != 1 || s.state.Tiers().Promotions != 1 || s.state.Tiers().Tier[kv.TierMemory].Keys != 1 {
		t.Errorf("%d reads, %+v", s.reads, s.state.Tiers())
	}
	want := kv.Live{Values: 1, Bytes: int64(len(shelved))}
	if live := s.state.Segments()[kv.SegmentID{Store: 1, Seq: 1}]; live != want {
		t.Errorf("the segment has %+v alive, want %+v", live, want)
	}
	for r := range s.state.Residents() {
		if id, ok := r.Segment(); !ok || id.Seq != 1 || r.Tier() != kv.TierObject {
			t.Errorf("it would be moved again: %v %v %v", id, ok, r.Tier())
		}
	}
	if records := s.checkpoint(t); len(records) != 0 {
		t.Errorf("a checkpoint writes it again: %v", records)
	}
	if freed := s.state.Evict(1); freed < int64(len(shelved)) {
		t.Errorf("eviction freed %d bytes", freed)
	}
	if got := s.read(t); got != kv.TierObject || s.reads != 2 {
		t.Errorf("after eviction: from %s, %d reads", got, s.reads)
	}
}

// If moving hot values sent them out of memory, each of them would be slow once for
// every move that --disk-max asks for; if it kept those that are not, moving would
// free no memory.
func TestHotValueStaysInMemoryWhenItMoves(t *testing.T) {
	for reads, want := range []kv.Tier{kv.TierObject, kv.TierObject, kv.TierObject, kv.TierMemory} {
		s := newHeldWorld(t)
		s.apply(t, 3, &kv.Command{Ops: []kv.Op{{Kind: kv.OpDelete, Key: "k"}}})
		s.apply(t, 4, &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "k", Value: []byte(shelved)}}})
		s.checkpoint(t)
		for range reads {
			s.read(t)
		}
		s.move(t, 5, 2)
		if got := s.read(t); got != want {
			t.Errorf("after %d reads: from %s, want %s", reads, got, want)
		}
		if live := s.state.Segments(); len(live) != 1 || live[kv.SegmentID{Store: 1, Seq: 2}].Values != 1 {
			t.Errorf("alive: %v", live)
		}
	}
}

// If rewriting a segment forgot that a value is in memory, hot keys would be slow
// after it; if a checkpoint then wrote the value and not the reference, the store
// could not be opened again.
func TestHeldValueMovesToAnotherSegment(t *testing.T) {
	s := newHeldWorld(t)
	s.read(t)
	s.move(t, 3, 2)
	if live := s.state.Segments(); len(live) != 1 || live[kv.SegmentID{Store: 1, Seq: 2}].Values != 1 {
		t.Errorf("alive: %v", live)
	}
	if got := s.read(t); got != kv.TierMemory || s.reads != 1 {
		t.Errorf("from %s after %d reads", got, s.reads)
	}
	records := s.checkpoint(t)
	if len(records) != 1 || records[0].Locator().Rev != 3 || !records[0].Entry.Cold() {
		t.Fatalf("the checkpoint wrote %+v", records)
	}
	back, err := kv.ParseRecord(records[0].Locator(), records[0].AppendTo(nil))
	if err != nil || back.Entry.Tier() != kv.TierObject || back.Entry.Mod != 1 {
		t.Errorf("read back: %+v, %v", back.Entry, err)
	}
	s.apply(t, 4, &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "k", Value: []byte("new")}}})
	if live := s.state.Segments(); len(live) != 0 {
		t.Errorf("alive after a write: %v", live)
	}
}

// If many readers of one cold key each asked the object store, a key that becomes
// hot would bring it down.
func TestOneFlightToTheSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHeldWorld(t)
		s.gate = make(chan struct{})
		failed := make(chan error, 50)
		for range cap(failed) {
			go func() {
				e, _, err := s.state.Read(t.Context(), "k")
				if err == nil && e.Value() != shelved {
					err = fmt.Errorf("got %q", e.Value())
				}
				failed <- err
			}()
		}
		synctest.Wait() // until all of them wait
		close(s.gate)
		for range cap(failed) {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		if n := s.state.Tiers().Promotions; s.reads != 1 || n != 1 {
			t.Errorf("%d requests, %d promotions, want one of each", s.reads, n)
		}
	})
}
