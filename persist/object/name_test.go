package object_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/persist/object"
	"keywatch/persist/object/objecttest"
)

// If the name of a deleted segment could be given again, a backup or a reader that still
// names it would find another object there. The clock stands still here, and each process
// is a new one.
func TestSegmentNameIsNeverUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, new(objecttest.Memory))
		w.calm = true
		used := make(map[object.ID]bool)
		for round := range 5 {
			w.fill(3)
			_, err := w.mover.Move(t.Context(), 0, all)
			must(t, err)
			for id := range w.state.Segments() {
				name := object.ID{Store: 7, Epoch: id.Epoch, Seq: id.Seq}
				if used[name] {
					t.Errorf("round %d: %s is used again", round, name.Name())
				}
				used[name] = true
			}
			w.put(3)
			w.checkpoint()
			time.Sleep(time.Nanosecond) // the grace of a segment, and less than the clock shows
			if s, err := w.mover.Tidy(t.Context()); err != nil || s.Deleted != 1 || s.Segments != 0 {
				t.Fatalf("round %d: %+v, %v", round, s, err)
			}
			w.kill()
		}
		if len(used) != 5 {
			t.Errorf("%d names in 5 rounds", len(used))
		}
	})
}

// If a store whose segments and claim earlier releases have numbered could not go on, an
// upgrade would lose the use of what is in it.
func TestNumbersOfEarlierReleases(t *testing.T) {
	w := newWorld(t, 1, new(objecttest.Memory))
	w.calm = true
	w.fill(1)
	old := object.ID{Store: 7, Epoch: w.state.Position().Epoch, Seq: 1_764_000_000_000}
	b := object.NewBuilder(old, object.NewWriter(), 0)
	for r := range w.state.Residents() {
		rec, err := b.Add(r.Key, r.At(), w.model[r.Key])
		must(t, err)
		w.apply(kv.EncodeEntry(0, &kv.Command{Refer: &kv.Refer{
			Segment: kv.SegmentID{Store: 7, Epoch: old.Epoch, Seq: old.Seq},
			Refs:    []kv.Ref{{Key: r.Key, At: r.At(), Offset: uint64(rec.Offset), Size: rec.Size, Hash: r.Hash()}},
		}}))
	}
	must(t, w.store.Put(t.Context(), old.Name(), b.Finish()))
	must(t, w.store.Put(t.Context(), "0000000000000007/writer-0000000000000003", make([]byte, 16)))
	w.kill()
	w.checkAll()
	w.apply(kv.EncodeEntry(0, &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "new", Value: []byte("v")}}}))
	w.model["new"] = "v"
	w.checkpoint()
	if moved, err := w.mover.Move(t.Context(), 0, onDisk); err != nil || moved.Values != 1 {
		t.Errorf("moved %+v, %v", moved, err)
	}
	if s, err := w.mover.Tidy(t.Context()); err != nil || s.Segments != 2 || s.Missing != 0 {
		t.Errorf("tidied %+v, %v", s, err)
	}
	w.kill()
	w.checkAll()
}

// If a claim that was removed by hand could be made again by another process, both would
// take it for their own, and each would delete what only the other refers to.
func TestClaimIsNeverMadeAgain(t *testing.T) {
	w := newWorld(t, 1, new(objecttest.Memory))
	w.calm = true
	w.fill(2)
	_, err := w.mover.Move(t.Context(), 0, all)
	must(t, err)
	for info, err := range w.store.List(t.Context(), "") {
		must(t, err)
		if strings.Contains(info.Name, "/writer-") {
			must(t, w.store.Delete(t.Context(), info.Name))
		}
	}
	w.fill(2)
	second := w.another(object.MoverOptions{})
	if moved, err := second.Move(t.Context(), 0, onDisk); err != nil || moved.Values != 2 {
		t.Fatalf("the second moved %+v, %v", moved, err)
	}
	if s, err := w.mover.Tidy(t.Context()); !errors.Is(err, object.ErrTaken) || s.Deleted != 0 {
		t.Errorf("the first tidied %+v, %v", s, err)
	}
}
