package kv_test

import (
	"context"
	"fmt"

	"pgregory.net/rapid"

	"keywatch/kv"
)

// ReadCold implements kv.ColdReader for the machine's disk and segments.
func (m *machine) ReadCold(_ context.Context, ref kv.ColdRef) (string, error) {
	if p, ok := ref.ObjectPlace(); ok {
		value, there := m.objects.Object(p)
		if !there || len(value) != ref.Size {
			return "", fmt.Errorf("%w: %+v", kv.ErrDamaged, p)
		}
		return value, nil
	}
	b, ok := m.disk.records[ref.At]
	if !ok {
		return "", fmt.Errorf("record %v: %w", ref.At, kv.ErrColdGone)
	}
	return ref.ParseValue(b)
}

// evict drops some values, or all that can be.
func (w *world) evict(t *rapid.T) {
	want := int64(rapid.SampledFrom([]int{1, 20, 1 << 20}).Draw(t, "bytes"))
	w.live.Evict(want)
	if w.twin != nil {
		w.twin.Evict(want)
	}
	w.compareMemory(t, w.live)
}

// compareMemory recounts what the state says of its tiers.
func (w *world) compareMemory(t *rapid.T, m *machine) {
	snap, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	var want [kv.TierCount]kv.TierStats
	for _, e := range snap.Scan("", "") {
		want[e.Tier()].Keys++
		want[e.Tier()].Bytes += int64(e.Size())
		if e.Cold() != (e.Tier() != kv.TierMemory) {
			t.Fatalf("an entry in tier %v is cold: %v", e.Tier(), e.Cold())
		}
	}
	got := m.Tiers()
	for i := range want {
		want[i].Reads = got.Tier[i].Reads
	}
	same(t, "tiers", got.Tier, want)
}

// warm gives what a result shows its values.
func (m *machine) warm(t *rapid.T, c *kv.Command, r *kv.Result) {
	give := func(key string, e *kv.Entry) *kv.Entry {
		if e == nil {
			return nil
		}
		return m.resolve(t, key, e)
	}
	if r.Current != nil {
		key := ""
		switch {
		case r.Outcome == kv.FenceLost:
			key = kv.LockKey(c.Fences[r.Failed].Lock)
		case c.Lock != nil:
			key = kv.LockKey(c.Lock.Name)
		default:
			key = c.Checks[r.Failed].Key
		}
		r.Current = give(key, r.Current)
	}
	warmOps := func(ops, otherwise []kv.Op, o kv.Outcome, did []kv.OpResult) {
		if o == kv.ElseRan {
			ops = otherwise
		}
		for i := range did {
			if !did[i].NoValue {
				did[i].Entry = give(ops[i].Key, did[i].Entry)
			}
		}
	}
	warmOps(c.Ops, c.Else, r.Outcome, r.Ops)
	for i := range r.Parts {
		warmOps(c.Parts[i].Ops, c.Parts[i].Else, r.Parts[i].Outcome, r.Parts[i].Ops)
	}
}

// resolve returns e with its value.
func (m *machine) resolve(t *rapid.T, key string, e *kv.Entry) *kv.Entry {
	got, err := m.Resolve(t.Context(), key, e)
	if err != nil {
		t.Fatalf("resolve %q: %v", key, err)
	}
	return got
}

// resolved returns e with its value, as a snapshot gives it.
func resolved(t *rapid.T, n *kv.Snapshot, key string, e *kv.Entry) *kv.Entry {
	if e == nil {
		return nil
	}
	got, err := n.Resolve(t.Context(), key, e)
	if err != nil {
		t.Fatalf("resolve %q at %v: %v", key, n.Position(), err)
	}
	return got
}

// readSome reads a key, now and then in the way that keeps its value in memory:
// always would leave no cold value for anything else to meet.
func (m *machine) readSome(t *rapid.T, key string) (*kv.Entry, kv.Position) {
	if m.reads++; m.reads%29 == 0 {
		e, at, err := m.Read(t.Context(), key)
		if err != nil {
			t.Fatalf("read %q: %v", key, err)
		}
		return e, at
	}
	snap, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	return resolved(t, snap, key, snap.Get(key)), snap.Position()
}
