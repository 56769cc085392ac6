package object_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist/object"
	"keywatch/persist/object/objecttest"
)

var errKilled = errors.New("killed")

// steps are all places where a process may be killed while it moves and deletes.
var steps = []object.Step{
	object.StepPacked, object.StepStored, object.StepUploaded, object.StepReferenced,
	object.StepRewritten, object.StepDead, object.StepDeleting, object.StepDeleted,
}

// A world is a state with a disk and a log in memory, a mover, a store that fails
// now and then, and a model of what the state must hold.
type world struct {
	t      *testing.T
	r      *rand.Rand
	state  *kv.State
	mover  *object.Mover
	store  *objecttest.Store
	calm   bool // no faults and no kills
	log    [][]byte
	base   int // entries that the checkpoint holds
	meta   *kv.Meta
	disk   map[kv.Locator][]byte
	model  map[string]string
	killed map[object.Step]int
	stats  object.Stats
}

func newWorld(t *testing.T, seed uint64, inner object.Store, faults ...objecttest.Fault) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 3)), disk: make(map[kv.Locator][]byte),
		model: make(map[string]string), killed: make(map[object.Step]int),
	}
	choose := objecttest.Random(seed, 10, append(faults, objecttest.None)...)
	w.store = &objecttest.Store{Store: inner, Choose: func(c objecttest.Call, name string) objecttest.Fault {
		if w.calm || c == objecttest.Put && !strings.HasSuffix(name, object.Suffix) {
			return objecttest.None
		}
		f := choose(c, name)
		if f == objecttest.Gone && !strings.HasSuffix(name, object.Suffix) {
			return objecttest.None // no store forgets a claim and finds it again
		}
		return f
	}}
	w.begin()
	return w
}

// begin makes a process: a new state and mover.
func (w *world) begin() {
	if w.mover != nil {
		s := w.mover.Stats()
		w.stats.Values += s.Values
		w.stats.Deleted += s.Deleted
		w.stats.Errors += s.Errors
	}
	w.state = kv.NewState(kv.StateOptions{Cold: w, ColdMin: 1, Presize: 64})
	w.mover = object.NewMover(object.MoverOptions{
		Store: w.store, ID: 7, State: func() *kv.State { return w.state }, Log: w, SegmentSize: 2000, Grace: time.Nanosecond,
		Step: func(s object.Step) error {
			if w.calm || w.r.IntN(12) != 0 {
				return nil
			}
			w.killed[s]++
			return errKilled
		},
	})
}

func (w *world) ReadCold(ctx context.Context, ref kv.ColdRef) (string, error) {
	if ref.Tier == kv.TierDisk {
		b, ok := w.disk[ref.At]
		if !ok {
			return "", kv.ErrColdGone
		}
		return ref.ParseValue(b)
	}
	return object.Reader{Store: w.store}.ReadCold(ctx, ref)
}

// Propose implements object.Proposer: others write meanwhile, and an answer may be
// lost.
func (w *world) Propose(_ context.Context, c *kv.Command) (kv.Result, error) {
	if !w.calm {
		for range w.r.IntN(3) {
			w.write()
		}
	}
	if !w.calm && w.r.IntN(20) == 0 {
		return kv.Result{}, kv.ErrQueueFull
	}
	r := w.apply(kv.EncodeEntry(int64(len(w.log)), c))[0]
	if !w.calm && w.r.IntN(20) == 0 {
		return kv.Result{}, kv.ErrOutcomeUnknown
	}
	return r, nil
}

func (w *world) apply(data []byte) []kv.Result {
	w.log = append(w.log, data)
	results, err := w.state.Apply(uint64(len(w.log)), 1, data)
	must(w.t, err)
	return results
}

func (w *world) write() {
	key := fmt.Sprintf("k%d", w.r.IntN(60))
	op := kv.Op{Kind: kv.OpPut, Key: key, Value: []byte(strings.Repeat(string(rune('a'+w.r.IntN(26))), 1+w.r.IntN(300)))}
	if w.r.IntN(5) == 0 {
		op = kv.Op{Kind: kv.OpDelete, Key: key}
		delete(w.model, key)
	} else {
		w.model[key] = string(op.Value)
	}
	w.apply(kv.EncodeEntry(int64(len(w.log)), &kv.Command{Ops: []kv.Op{op}}))
}

// checkpoint writes one, while the state changes.
func (w *world) checkpoint() {
	cp, err := w.state.Freeze()
	must(w.t, err)
	meta := cp.Meta()
	if !w.calm {
		for range w.r.IntN(4) {
			w.write()
		}
	}
	dead := cp.Dropped()
	for rec, old := range cp.Records() {
		w.disk[rec.Locator()] = rec.AppendTo(nil)
		if old != (kv.Locator{}) {
			dead = append(dead, old)
		}
	}
	w.meta, w.base = &meta, int(meta.Index)
	cp.Commit()
	if w.state.LoadPinned(w.t.Context()) == nil { // else the records stay
		for _, at := range dead {
			delete(w.disk, at)
		}
	}
}

// kill starts over from disk and log.
func (w *world) kill() {
	segments := w.state.Segments()
	w.begin()
	if w.meta != nil {
		l := w.state.Load(*w.meta)
		for _, at := range slices.SortedFunc(maps.Keys(w.disk), compareLocators) {
			rec, err := kv.ParseColdRecord(at, w.disk[at])
			must(w.t, err)
			if at.Rev > w.meta.At.Rev {
				continue
			}
			_, _, err = l.Add(rec)
			must(w.t, err)
		}
		must(w.t, l.Done())
	}
	for i := w.base; i < len(w.log); i++ {
		_, err := w.state.Apply(uint64(i+1), 1, w.log[i])
		must(w.t, err)
	}
	if after := w.state.Segments(); !maps.Equal(segments, after) {
		w.t.Fatalf("segments before a restart %v, after it %v", segments, after)
	}
}

func compareLocators(a, b kv.Locator) int {
	if a.Rev != b.Rev {
		return int(a.Rev) - int(b.Rev)
	}
	return int(a.Ordinal) - int(b.Ordinal)
}

// expected tells an injected failure from a wrong one.
func (w *world) expected(err error) {
	w.t.Helper()
	for _, known := range []error{
		errKilled, kv.ErrQueueFull, kv.ErrOutcomeUnknown, kv.ErrTierUnavailable,
		object.ErrUnavailable, object.ErrDamaged, object.ErrNotFound, object.ErrUnfit, kv.ErrDamaged,
	} {
		if errors.Is(err, known) && !w.calm {
			return
		}
	}
	w.t.Fatalf("unexpected: %v", err)
}

func (w *world) step() {
	var err error
	switch w.r.IntN(24) {
	case 0, 1:
		_, err = w.mover.Move(w.t.Context(), int64(w.r.IntN(6000)), func(r kv.Resident) bool {
			return r.Tier() != kv.TierObject && w.r.IntN(2) == 0
		})
	case 2, 8, 9:
		_, err = w.mover.Tidy(w.t.Context())
	case 3, 4:
		w.checkpoint()
	case 5:
		w.kill()
	case 6:
		w.state.Evict(int64(w.r.IntN(4000)))
	case 7:
		w.checkSome()
	default:
		w.write()
	}
	if errors.Is(err, errKilled) {
		w.kill()
	} else if err != nil {
		w.expected(err)
	}
}

// checkSome reads keys as a client does: a value is right, or not to be had.
func (w *world) checkSome() {
	for range 5 {
		key := fmt.Sprintf("k%d", w.r.IntN(60))
		want, there := w.model[key]
		e, _, err := w.state.Read(w.t.Context(), key)
		if err != nil {
			w.expected(err)
		} else if (e != nil) != there || there && e.Value() != want {
			w.t.Fatalf("%s: got %v, want %q", key, e, want)
		}
	}
}

func (w *world) checkAll() {
	w.t.Helper()
	for key, want := range w.model {
		e, _, err := w.state.Read(w.t.Context(), key)
		if err != nil || e == nil || e.Value() != want {
			w.t.Fatalf("%s: got %v, %v, want %q", key, e, err, want)
		}
	}
	if w.state.Len() != len(w.model) {
		w.t.Fatalf("%d keys, want %d", w.state.Len(), len(w.model))
	}
}

// settle ends the trouble and sees that nothing is left but what is referred to.
func (w *world) settle() {
	w.calm = true
	w.kill()
	w.checkAll()
	w.checkpoint()
	_, err := w.mover.Move(w.t.Context(), 0, func(r kv.Resident) bool { return r.Tier() != kv.TierObject })
	must(w.t, err)
	s, err := w.mover.Tidy(w.t.Context())
	must(w.t, err)
	w.checkpoint()
	if s, err = w.mover.Tidy(w.t.Context()); err != nil || s.Missing > 0 || s.Segments != len(w.state.Segments()) {
		w.t.Fatalf("after tidying: %+v, %v, %d segments are referred to", s, err, len(w.state.Segments()))
	}
	w.kill()
	w.checkAll()
}

func (w *world) run(steps int) {
	for range steps {
		w.step()
	}
	w.settle()
}

// If a kill between packing, upload, reference and deletion, a restart, or a store
// in trouble could lose a value or bring back an old one, no value would be safe.
func TestMoverAgainstModel(t *testing.T) {
	killed := make(map[object.Step]int)
	var sum object.Stats
	for seed := range uint64(25) {
		t.Logf("seed %d", seed)
		w := newWorld(t, seed, new(objecttest.Memory), objecttest.Down, objecttest.Lost, objecttest.Cut, objecttest.Flip, objecttest.Gone)
		w.run(300)
		for s, n := range w.killed {
			killed[s] += n
		}
		sum.Values += w.stats.Values
		sum.Deleted += w.stats.Deleted
		sum.Errors += w.stats.Errors
	}
	t.Logf("killed %v; %d values moved, %d segments deleted, %d failures", killed, sum.Values, sum.Deleted, sum.Errors)
	for _, s := range steps {
		if killed[s] < 5 {
			t.Errorf("only %d kills when %s: the test proves little", killed[s], s)
		}
	}
	if sum.Values < 1000 || sum.Deleted < 50 || sum.Errors < 50 {
		t.Errorf("%+v: the test proves little", sum)
	}
}
