package kv_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// A state must do exactly what the model does, whatever the commands, the
// snapshots held open, the checkpoints begun, committed and aborted, and the
// restarts from what they wrote. So it must where many keys have the same hash.
func TestStateFollowsModel(t *testing.T) {
	leased := 0 // references to keys that are attached to a lease
	// A few checks, as with -short, may by chance have none: then further ones follow.
	for n := 0; n == 0 || n < 30 && leased == 0 && !t.Failed(); n++ {
		leased += followModel(t)
	}
	if leased == 0 && !t.Failed() {
		t.Errorf("no key on a lease was moved: the test proves little")
	}
}

// followModel runs the checks and returns how many references to keys on a lease
// they had.
func followModel(t *testing.T) (leased int) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(chance(t, "clashes"))
		defer func() { leased += w.leased }()
		w.sweep = chance(t, "sweep")
		w.entry(t, kvtest.Step{Setup: &kv.Setup{Epoch: 7, Params: kvtest.SmallParams}})
		t.Repeat(map[string]func(*rapid.T){
			"":         w.compare,
			"apply":    w.apply,
			"apply2":   w.apply,
			"setup":    func(t *rapid.T) { w.entry(t, w.gen.Setup(t)) },
			"skip":     w.skip,
			"snapshot": w.openSnapshot,
			"release":  w.closeSnapshot,
			"freeze":   w.freeze,
			"finish":   w.finish,
			"reload":   w.reload,
			"evict":    w.evict,
			"refer":    w.refer,
		})
	})
	return leased
}

// An entry is what the log held and what it did.
type entry struct {
	data    []byte
	results []kvtest.Result
	events  []kvtest.Event
	reset   bool
	steps   []kvtest.Step
}

type heldSnapshot struct {
	snap  *kv.Snapshot
	model *kvtest.Model
	// crowded is set once so many snapshots were open that this one may have
	// been ended.
	crowded bool
}

// A world is a state, a second one that came from disk, the model of both, and
// the log and disk they live by.
type world struct {
	live, twin *machine
	model      *kvtest.Model
	gen        *kvtest.Generator
	log        []entry // entry i has index i+1
	disk       disk
	sweep      bool
	snaps      []heldSnapshot
	open       *kv.Checkpoint
	opened     *kvtest.Model
	leased     int
	clashes    bool // keys have the same hash
}

// A machine is a state and what it published.
type machine struct {
	*kv.State
	published recorder
	told      privateRecorder
	disk      *disk             // where cold values are read
	objects   *kvtest.Generator // likewise
	reads     int
}

type recorder struct {
	events []kvtest.Event
	at     kv.Position
	reset  bool
}

func (r *recorder) Publish(events []kv.Event, at kv.Position) {
	r.events, r.at = append(r.events, kvtest.EventsOf(events)...), at
}

func (r *recorder) Reset(at kv.Position) { r.reset, r.at = true, at }

func newMachine(objects *kvtest.Generator, clashes bool) *machine {
	m := &machine{disk: new(disk), objects: objects}
	m.State = kv.NewState(kv.StateOptions{
		Publisher: &m.published, Private: &m.told, Presize: 64, SnapshotMax: 3, SnapshotAge: 200 * time.Millisecond,
		Cold: m,
	})
	if clashes {
		m.HashBadly()
	}
	return m
}

func newWorld(clashes bool) *world {
	w := &world{model: kvtest.NewModel(), clashes: clashes}
	w.gen = kvtest.NewGenerator(w.model)
	w.live = newMachine(w.gen, clashes)
	return w
}

func (w *world) apply(t *rapid.T) { w.entry(t, w.gen.Steps(t)...) }

// refer moves values to a segment, now and then in one entry with other commands.
func (w *world) refer(t *rapid.T) {
	if chance(t, "hang") {
		w.entry(t, w.gen.Hang(t)...)
	}
	step, ok := w.gen.Refer(t)
	if !ok {
		t.Skip("nothing to move")
	}
	w.leased += w.model.Leased(step.Command.Refer)
	steps := []kvtest.Step{step}
	if chance(t, "in company") {
		steps = slices.Insert(w.gen.Steps(t), 0, step)
	}
	w.entry(t, steps...)
}

// entry logs steps and compares what they do.
func (w *world) entry(t *rapid.T, steps ...kvtest.Step) {
	now := w.model.Time + int64(rapid.IntRange(-5, 30).Draw(t, "elapsed"))
	e := entry{data: kvtest.Encode(max(now, 0), steps), steps: steps}
	e.results, e.events, e.reset = w.model.Apply(now, steps)
	if e.reset {
		e.events = nil // history begins again, so there is no event
	}
	w.log = append(w.log, e)
	w.replay(t, w.live, len(w.log))
	if w.twin != nil {
		w.replay(t, w.twin, len(w.log))
	}
}

// replay applies the entry at index to m and compares what it does.
func (w *world) replay(t *rapid.T, m *machine, index int) {
	e := w.log[index-1]
	m.published = recorder{}
	if e.data == nil {
		m.Skip(uint64(index), 1)
		return
	}
	data := slices.Clone(e.data)
	results, err := m.Apply(uint64(index), 1, data)
	if err != nil {
		t.Fatalf("apply entry %d: %v", index, err)
	}
	clear(data) // what the state kept must be its own
	var got []kvtest.Result
	for i, r := range results {
		c := e.steps[i].Command
		if c == nil {
			c = &kv.Command{}
		}
		m.warm(t, c, &r)
		got = append(got, kvtest.ResultOf(c, r))
	}
	same(t, fmt.Sprintf("results of entry %d", index), got, e.results)
	same(t, fmt.Sprintf("events of entry %d", index), m.published.events, e.events)
	same(t, "reset", m.published.reset, e.reset)
	if again, err := m.Apply(uint64(index), 1, e.data); again != nil || err != nil {
		t.Fatalf("the same entry again: got %v, %v, want nothing", again, err)
	}
}

func (w *world) skip(t *rapid.T) {
	w.log = append(w.log, entry{})
	w.replay(t, w.live, len(w.log))
	if w.twin != nil {
		w.replay(t, w.twin, len(w.log))
	}
}

// compare holds every read against the model.
func (w *world) compare(t *rapid.T) {
	w.compareState(t, w.live)
	if w.twin != nil {
		w.compareState(t, w.twin)
		same(t, "digest", w.twin.Digest(), w.live.Digest())
	}
	for _, h := range w.snaps {
		w.compareHeld(t, h)
	}
}

func (w *world) compareState(t *rapid.T, s *machine) {
	for _, key := range kvtest.Keys {
		e, at := s.readSome(t, key)
		same(t, "get "+key, kvtest.ItemOf(key, e), w.model.Get(key))
		same(t, "position of get", at, w.model.Position())
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	defer snap.Close()
	compareSnapshot(t, snap, w.model)
	stats := s.Stats()
	same(t, "keys", s.Len(), len(w.model.Scan("", "")))
	same(t, "bytes", stats.Bytes, modelBytes(w.model))
	same(t, "tombstones", stats.Tombstones, w.model.Tombstones())
	same(t, "deadlines", stats.Deadlines, w.model.Deadlines())
	same(t, "idempotency records", stats.IdemRecords, w.model.IdemRecords())
	same(t, "floor", stats.Floor, w.model.Floor)
	same(t, "time", s.Time(), w.model.Time)
	same(t, "index", s.Applied(), uint64(len(w.log)))
	same(t, "params", s.Params(), w.model.Params)
	w.compareLeases(t, s)
	w.comparePrivate(t, s)
	at, ok := s.NextDeadline()
	wantAt, wantOK := w.model.NextDeadline()
	same(t, "a deadline", ok, wantOK)
	if ok {
		same(t, "next deadline", at, wantAt)
	}
}

func modelBytes(m *kvtest.Model) (n int64) {
	for _, it := range m.Scan("", "") {
		n += int64(len(it.Key) + len(it.Value))
	}
	return n
}

func compareSnapshot(t *rapid.T, n *kv.Snapshot, m *kvtest.Model) {
	same(t, "snapshot position", n.Position(), m.Position())
	same(t, "snapshot time", n.Time(), m.Time)
	same(t, "snapshot floor", n.Floor(), m.Floor)
	for _, key := range kvtest.Keys {
		same(t, "snapshot get "+key, kvtest.ItemOf(key, resolved(t, n, key, n.Get(key))), m.Get(key))
	}
	for _, prefix := range []string{"", "a", "a/", "locks/", "none"} {
		for _, after := range []string{"", "a/b", "b"} {
			same(t, "scan "+prefix+" after "+after, items(t, n, n.Scan(prefix, after)), m.Scan(prefix, after))
		}
		for _, since := range []kv.Rev{0, m.Rev / 2, max(m.Rev, 3) - 3, m.Rev} {
			same(t, fmt.Sprintf("changes of %q since %d", prefix, since), items(t, n, n.Changes(prefix, since)), m.Changes(prefix, since))
		}
	}
}

func items(t *rapid.T, n *kv.Snapshot, seq func(func(string, *kv.Entry) bool)) (out []kvtest.Item) {
	for key, e := range seq {
		out = append(out, *kvtest.ItemOf(key, resolved(t, n, key, e)))
	}
	return out
}

func (w *world) openSnapshot(t *rapid.T) {
	snap, err := w.live.Snapshot()
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	w.snaps = append(w.snaps, heldSnapshot{snap: snap, model: w.model.Clone()})
	for i := range w.snaps { // reads open one more
		w.snaps[i].crowded = w.snaps[i].crowded || len(w.snaps) >= 3
	}
}

func (w *world) closeSnapshot(t *rapid.T) {
	if len(w.snaps) == 0 {
		t.Skip("none is open")
	}
	i := rapid.IntRange(0, len(w.snaps)-1).Draw(t, "snapshot")
	w.compareHeld(t, w.snaps[i])
	w.snaps[i].snap.Close()
	w.snaps[i].snap.Close()
	w.snaps = slices.Delete(w.snaps, i, i+1)
	if len(w.snaps) == 0 && w.open == nil {
		same(t, "bytes held when no snapshot is open", w.live.Stats().SnapshotBytes, 0)
	}
}

// compareHeld holds a snapshot against the model of its revision, unless the
// snapshot was ended, for which there must be a reason.
func (w *world) compareHeld(t *rapid.T, h heldSnapshot) {
	if h.snap.Err() == nil {
		compareSnapshot(t, h.snap, h.model)
		return
	}
	if w.model.Time-h.model.Time <= 200 && !h.crowded {
		t.Fatalf("snapshot at %v ended: %v, after %d ms", h.model.Position(), h.snap.Err(), w.model.Time-h.model.Time)
	}
}

func same[T any](t *rapid.T, what string, got, want T) {
	t.Helper()
	v, u := reflect.ValueOf(got), reflect.ValueOf(want)
	if v.Kind() == reflect.Slice && v.Len()+u.Len() == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, show(got), show(want))
	}
}

// show spells out the pointers in results.
func show(v any) any {
	results, ok := v.([]kvtest.Result)
	if !ok {
		return v
	}
	var out string
	for _, r := range results {
		out += fmt.Sprintf("\n  %+v current %v ops %v", r, r.Current, r.Ops)
	}
	return out
}
