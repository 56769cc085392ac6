package object_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist/object"
	"keywatch/persist/object/objecttest"
)

// fill writes n keys and makes a checkpoint, so that they may be moved.
func (w *world) fill(n int) {
	w.put(n)
	w.checkpoint()
}

func (w *world) put(n int) {
	for i := range n {
		key := fmt.Sprintf("fill/%d", i)
		w.model[key] = strings.Repeat("v", 100)
		w.apply(kv.EncodeEntry(0, &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(w.model[key])}}}))
	}
}

func all(kv.Resident) bool { return true }

// If two processes wrote segments for the same store, each would sweep what the
// other had just uploaded: the loser must stop.
func TestMoverStopsWhenAnotherWrites(t *testing.T) {
	store := openDir(t)
	w := newWorld(t, 1, store)
	w.calm = true
	w.fill(3)
	_, err := w.mover.Move(t.Context(), 0, all)
	must(t, err)
	w.store.Choose = func(c objecttest.Call, name string) objecttest.Fault {
		id, ok := object.ParseName(name)
		if ok && c == objecttest.Put { // another one got the name a moment before
			must(t, store.Put(t.Context(), name, object.NewBuilder(id, object.NewWriter(), 0).Finish()))
		}
		return objecttest.None
	}
	w.fill(6)
	for range 2 {
		moved, err := w.mover.Move(t.Context(), 0, func(r kv.Resident) bool { return r.Tier() != kv.TierObject })
		if !errors.Is(err, object.ErrTaken) || moved.Values != 0 {
			t.Fatalf("got %+v, %v", moved, err)
		}
	}
	if p := w.mover.Stats().Problem; p != object.ErrTaken.Error() {
		t.Errorf("the figures say %q", p)
	}
	w.checkAll()
}

// If a segment went while a backup, a snapshot or a late reference may need it, a
// restore or a reader would find nothing.
func TestMoverKeepsDeadSegments(t *testing.T) {
	w := newWorld(t, 1, openDir(t))
	w.calm = true
	w.fill(5)
	_, err := w.mover.Move(t.Context(), 0, all)
	must(t, err)
	snap, err := w.state.Snapshot()
	must(t, err)
	w.put(5) // nothing refers to the segment, but the snapshot sees it
	s, err := w.mover.Tidy(t.Context())
	if err != nil || s.Deleted != 0 || s.Waiting != 0 {
		t.Fatalf("with a snapshot: %+v, %v", s, err)
	}
	for key, e := range snap.Scan("fill/", "") {
		if _, err := snap.Resolve(t.Context(), key, e); err != nil {
			t.Fatalf("%s in the snapshot: %v", key, err)
		}
	}
	snap.Close()
	slow := object.NewMover(object.MoverOptions{Store: w.store, ID: 7, State: func() *kv.State { return w.state }, Log: w, Keep: time.Hour, Grace: 1})
	if s, err := slow.Tidy(t.Context()); err != nil || s.Deleted != 0 || s.Waiting != 1 {
		t.Fatalf("within Keep: %+v, %v", s, err)
	}
	young := object.NewMover(object.MoverOptions{Store: w.store, ID: 7, State: func() *kv.State { return w.state }, Log: w})
	if s, err := young.Tidy(t.Context()); err != nil || s.Deleted != 0 || s.Waiting != 1 {
		t.Fatalf("within Grace: %+v, %v", s, err)
	}
	other := object.NewMover(object.MoverOptions{Store: w.store, ID: 8, State: func() *kv.State { return w.state }, Log: w, Grace: 1})
	if s, err := other.Tidy(t.Context()); err != nil || s != (object.Sweep{}) {
		t.Fatalf("another store's sweep: %+v, %v", s, err)
	}
	last := object.NewMover(object.MoverOptions{Store: w.store, ID: 7, State: func() *kv.State { return w.state }, Log: w, Grace: 1})
	if s, err := last.Tidy(t.Context()); err != nil || s.Deleted != 1 || s.Segments != 0 {
		t.Fatalf("afterwards: %+v, %v", s, err)
	}
}

// If a lost segment looked like an outage, or an outage like a loss, clients and
// operators would do the wrong thing.
func TestReaderNamesWhatIsLost(t *testing.T) {
	w := newWorld(t, 1, openDir(t))
	w.calm = true
	w.fill(1)
	_, err := w.mover.Move(t.Context(), 0, all)
	must(t, err)
	fault := objecttest.None
	w.store.Choose = func(objecttest.Call, string) objecttest.Fault { return fault }
	for f, want := range map[objecttest.Fault]error{
		objecttest.Down: kv.ErrTierUnavailable, objecttest.Gone: kv.ErrDamaged,
		objecttest.Flip: kv.ErrDamaged, objecttest.Cut: kv.ErrDamaged,
	} {
		fault = f
		_, _, err := w.state.Read(t.Context(), "fill/0")
		if !errors.Is(err, want) {
			t.Errorf("fault %d: got %v, want %v", f, err, want)
		}
		if want == kv.ErrDamaged && !strings.Contains(err.Error(), object.Suffix) {
			t.Errorf("fault %d: the segment is not named: %v", f, err)
		}
	}
	fault = objecttest.Hang
	_, err = object.Reader{Store: w.store, Timeout: time.Millisecond}.ReadCold(t.Context(), coldRef(t, w, "fill/0"))
	if !errors.Is(err, kv.ErrTierUnavailable) {
		t.Errorf("a store that hangs: %v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it looks as if the caller had given up: %v", err)
	}
	fault = objecttest.None
	w.checkAll()
}

// coldRef catches the reference that reading key makes.
func coldRef(t *testing.T, w *world, key string) (ref kv.ColdRef) {
	t.Helper()
	s := kv.NewState(kv.StateOptions{Cold: catcher{&ref}, ColdMin: 1, Presize: 16})
	for i, data := range w.log {
		_, err := s.Apply(uint64(i+1), 1, data)
		must(t, err)
	}
	_, _, _ = s.Read(t.Context(), key) // it fails
	if ref.Key != key {
		t.Fatal("nothing was read")
	}
	return ref
}

type catcher struct{ ref *kv.ColdRef }

func (c catcher) ReadCold(_ context.Context, ref kv.ColdRef) (string, error) {
	*c.ref = ref
	return "", kv.ErrTierUnavailable
}
