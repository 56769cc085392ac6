package kv_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"keywatch/kv"
)

// A mover is a state with a disk, segments and a log, all in memory, and a model
// of what the state must hold.
type mover struct {
	t        *testing.T
	r        *rand.Rand
	state    *kv.State
	log      [][]byte
	base     int // entries that the checkpoint holds
	meta     *kv.Meta
	disk     map[kv.Locator][]byte
	segments map[kv.SegmentID]map[uint64]string
	seq      uint64
	model    map[string]string
	refers   int
	promoted uint64
	fetched  int // reads that found the value in a segment
}

func (w *mover) ReadCold(_ context.Context, ref kv.ColdRef) (string, error) {
	if ref.Tier == kv.TierDisk {
		b, ok := w.disk[ref.At]
		if !ok {
			return "", kv.ErrColdGone
		}
		return ref.ParseValue(b)
	}
	p, ok := ref.ObjectPlace()
	value, there := w.segments[p.Segment][p.Offset]
	if !ok || !there || len(value) != ref.Size {
		return "", fmt.Errorf("%w: %+v", kv.ErrDamaged, p)
	}
	return value, nil
}

func (w *mover) newState() {
	if w.state != nil {
		w.promoted += w.state.Tiers().Promotions
	}
	w.state = kv.NewState(kv.StateOptions{Cold: w, ColdMin: 1, Presize: 64})
}

func (w *mover) apply(data []byte) []kv.Result {
	w.log = append(w.log, data)
	results, err := w.state.Apply(uint64(len(w.log)), 1, data)
	if err != nil {
		w.t.Fatal(err)
	}
	return results
}

func (w *mover) write() {
	key := fmt.Sprintf("k%d", w.r.IntN(40))
	op := kv.Op{Kind: kv.OpPut, Key: key, Value: []byte(strings.Repeat(string(rune('a'+w.r.IntN(26))), 1+w.r.IntN(90)))}
	if w.r.IntN(5) == 0 {
		op = kv.Op{Kind: kv.OpDelete, Key: key}
		delete(w.model, key)
	} else {
		w.model[key] = string(op.Value)
	}
	w.apply(kv.EncodeEntry(int64(len(w.log)), &kv.Command{Ops: []kv.Op{op}}))
}

// move packs some values into a segment; some keys are written to before the
// references are in the log.
func (w *mover) move() {
	w.seq++
	id := kv.SegmentID{Store: 7, Epoch: 9, Seq: w.seq}
	w.segments[id] = make(map[uint64]string)
	c := kv.Refer{Segment: id}
	snap, err := w.state.Snapshot() // like a leader whose checkpoint is ahead of this one
	if err != nil {
		w.t.Fatal(err)
	}
	for key, e := range snap.Scan("", "") {
		if w.r.IntN(3) != 0 {
			continue
		}
		e, err := snap.Resolve(w.t.Context(), key, e)
		if err != nil {
			w.t.Fatalf("fetch %s: %v", key, err)
		}
		offset := uint64(len(c.Refs)) * 100
		sum := sha256.Sum256([]byte(e.Value()))
		w.segments[id][offset] = e.Value()
		c.Refs = append(c.Refs, kv.Ref{Key: key, At: kv.Locator{Rev: e.Mod}, Offset: offset, Size: e.Size(), Hash: [kv.HashSize]byte(sum[:kv.HashSize])})
	}
	snap.Close()
	for r := range w.state.Residents() {
		if w.r.IntN(3) != 0 || slices.ContainsFunc(c.Refs, func(ref kv.Ref) bool { return ref.Key == r.Key }) {
			continue
		}
		value, err := w.state.Fetch(w.t.Context(), r)
		if err != nil {
			w.t.Fatalf("fetch %s: %v", r.Key, err)
		}
		offset := uint64(len(c.Refs)) * 100
		w.segments[id][offset] = value
		c.Refs = append(c.Refs, kv.Ref{Key: r.Key, At: r.At(), Offset: offset, Size: r.Size(), Hash: r.Hash()})
	}
	for range w.r.IntN(3) {
		w.write()
	}
	if len(c.Refs) > 0 {
		w.refers += w.apply(kv.EncodeEntry(int64(len(w.log)), &kv.Command{Refer: &c}))[0].Referred
	}
}

// checkpoint writes one, while the state changes; it may be given up.
func (w *mover) checkpoint() {
	cp, err := w.state.Freeze()
	if err != nil {
		w.t.Fatal(err)
	}
	meta := cp.Meta()
	for range w.r.IntN(4) {
		w.step()
	}
	added, dead := make(map[kv.Locator][]byte), cp.Dropped()
	last := kv.Locator{}
	for rec, old := range cp.Records() {
		at := rec.Locator()
		if w.meta != nil && at.Rev <= w.meta.At.Rev || at.Rev > meta.At.Rev ||
			at.Rev < last.Rev || at.Rev == last.Rev && at.Ordinal <= last.Ordinal {
			w.t.Fatalf("record %v after %v, between checkpoints at %v and %v", at, last, w.meta, meta.At)
		}
		last = at
		added[at] = rec.AppendTo(nil)
		if old != (kv.Locator{}) {
			dead = append(dead, old)
		}
	}
	if w.r.IntN(4) == 0 {
		cp.Abort()
		return
	}
	maps.Copy(w.disk, added)
	w.meta, w.base = &meta, int(meta.Index)
	cp.Commit()
	if err := w.state.LoadPinned(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for _, at := range dead {
		delete(w.disk, at)
	}
}

// kill starts over from disk and log.
func (w *mover) kill() {
	before := w.state.Segments()
	rev := w.state.Position().Rev
	w.newState()
	if w.meta != nil {
		l := w.state.Load(*w.meta)
		at := slices.SortedFunc(maps.Keys(w.disk), func(a, b kv.Locator) int {
			if a.Rev != b.Rev {
				return int(a.Rev) - int(b.Rev)
			}
			return int(a.Ordinal) - int(b.Ordinal)
		})
		for _, loc := range at {
			parse := kv.ParseRecord
			if w.r.IntN(2) == 0 {
				parse = kv.ParseColdRecord
			}
			rec, err := parse(loc, w.disk[loc])
			if err == nil {
				_, _, err = l.Add(rec)
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}
		if err := l.Done(); err != nil {
			w.t.Fatal(err)
		}
	}
	for i := w.base; i < len(w.log); i++ {
		if _, err := w.state.Apply(uint64(i+1), 1, w.log[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	if after := w.state.Segments(); !maps.Equal(before, after) {
		w.t.Fatalf("segments before a restart %v, after it %v", before, after)
	}
	if w.state.Position().Rev != rev {
		w.t.Fatalf("revision %d before a restart, %d after it", rev, w.state.Position().Rev)
	}
}

func (w *mover) step() {
	switch w.r.IntN(10) {
	case 0:
		w.move()
	case 1:
		w.state.Evict(int64(w.r.IntN(2000)))
	case 2, 3:
		w.read()
	default:
		w.write()
	}
}

// read reads some keys, which then stay in memory.
func (w *mover) read() {
	for range 4 {
		key := fmt.Sprintf("k%d", w.r.IntN(40))
		want, there := w.model[key]
		e, _, err := w.state.Read(w.t.Context(), key)
		if err != nil || (e != nil) != there || there && (e.Value() != want || e.Size() != len(want)) {
			w.t.Fatalf("%s: got %v, %v, want %q", key, e, err, want)
		}
		if there && e.Tier() == kv.TierObject {
			w.fetched++
		}
	}
}

// sweep deletes the segments that nothing refers to, as soon as it may.
func (w *mover) sweep() {
	live, kept := w.state.Segments(), w.state.KeptSegments()
	for id := range w.segments {
		if _, ok := live[id]; !ok && !kept[id] {
			delete(w.segments, id)
		}
	}
}

// check compares everything with the model, and the counts with the entries.
func (w *mover) check() {
	snap, err := w.state.Snapshot()
	if err != nil {
		w.t.Fatal(err)
	}
	defer snap.Close()
	n := 0
	for key, e := range snap.Scan("", "") {
		n++
		got, err := snap.Resolve(w.t.Context(), key, e)
		if err != nil {
			w.t.Fatalf("%s: %v", key, err)
		}
		if got.Value() != w.model[key] {
			w.t.Fatalf("%s: got %q, want %q", key, got.Value(), w.model[key])
		}
	}
	if n != len(w.model) {
		w.t.Fatalf("%d keys, want %d", n, len(w.model))
	}
	want := make(map[kv.SegmentID]kv.Live)
	for r := range w.state.Residents() {
		if id, ok := r.Segment(); ok {
			l := want[id]
			want[id] = kv.Live{Values: l.Values + 1, Bytes: l.Bytes + int64(r.Size())}
		}
	}
	for id, l := range want { // Residents leaves out what no checkpoint holds
		if have := w.state.Segments()[id]; have.Values < l.Values || have.Bytes < l.Bytes {
			w.t.Fatalf("segment %v: counted %v, found %v", id, have, l)
		}
	}
	var sum kv.Live
	for _, l := range w.state.Segments() {
		sum = kv.Live{Values: sum.Values + l.Values, Bytes: sum.Bytes + l.Bytes}
	}
	if n, all := w.state.SegmentSums(); n != len(w.state.Segments()) || all != sum {
		w.t.Fatalf("sums of segments: %d and %v, want %d and %v", n, all, len(w.state.Segments()), sum)
	}
}

// If moving a value could lose it, serve an older one, or count segments wrongly,
// however checkpoints, evictions, deletions and crashes fall between its steps,
// nothing could ever be moved.
func TestReferAgainstModel(t *testing.T) {
	refers, fetched, promoted := 0, 0, uint64(0)
	for seed := range uint64(60) {
		w := &mover{
			t: t, r: rand.New(rand.NewPCG(seed, 3)), disk: make(map[kv.Locator][]byte),
			segments: make(map[kv.SegmentID]map[uint64]string), model: make(map[string]string),
		}
		w.newState()
		for range 150 {
			switch w.r.IntN(12) {
			case 0:
				w.checkpoint()
			case 1:
				w.kill()
			case 2:
				w.sweep()
			case 3:
				w.check()
			default:
				w.step()
			}
		}
		w.kill()
		w.check()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		refers += w.refers
		fetched += w.fetched
		promoted += w.promoted + w.state.Tiers().Promotions
	}
	if refers < 1000 || fetched < 1000 || promoted < 500 {
		t.Fatalf("only %d values were moved, %d read from segments, %d brought back: the test proves little", refers, fetched, promoted)
	}
}

// If a reference replaced a value that was written since, the write would be lost.
func TestReferLeavesWhatChanged(t *testing.T) {
	s := kv.NewState(kv.StateOptions{Presize: 16})
	put := func(index uint64, value string) kv.Rev {
		r, err := s.Apply(index, 1, kv.EncodeEntry(0, &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "k", Value: []byte(value)}}}))
		if err != nil {
			t.Fatal(err)
		}
		return r[0].Rev
	}
	rev := put(1, "old")
	put(2, "new")
	sum := sha256.Sum256([]byte("old"))
	refer := func(index uint64, ref kv.Ref) kv.Result {
		r, err := s.Apply(index, 1, kv.EncodeEntry(0, &kv.Command{Refer: &kv.Refer{Segment: kv.SegmentID{Store: 1}, Refs: []kv.Ref{ref}}}))
		if err != nil {
			t.Fatal(err)
		}
		return r[0]
	}
	ref := kv.Ref{Key: "k", At: kv.Locator{Rev: rev}, Size: 3, Hash: [kv.HashSize]byte(sum[:kv.HashSize])}
	if r := refer(3, ref); r.Referred != 0 {
		t.Errorf("an older version's reference was taken: %+v", r)
	}
	ref.At.Rev++
	if r := refer(4, ref); r.Referred != 0 {
		t.Errorf("a reference to another value was taken: %+v", r)
	}
	ref.Key = "absent"
	if r := refer(5, ref); r.Referred != 0 {
		t.Errorf("a reference of an absent key was taken: %+v", r)
	}
	if e, _ := s.Get("k"); e.Cold() || e.Value() != "new" || e.Version != 2 {
		t.Errorf("got %+v", e)
	}
}
