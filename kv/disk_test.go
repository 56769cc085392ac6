package kv_test

import (
	"cmp"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"keywatch/kv"
)

// A disk is what committed checkpoints wrote. Unless swept it keeps every record
// that was ever written, as where no sweep has run yet.
type disk struct {
	meta    []byte
	records map[kv.Locator][]byte
	idem    map[uint64][]byte
	leases  map[kv.LeaseID][]byte
	private map[string][]byte
}

func (d disk) clone() disk {
	c := disk{d.meta, maps.Clone(d.records), maps.Clone(d.idem), make(map[kv.LeaseID][]byte), maps.Clone(d.private)}
	if c.records == nil {
		c.records, c.idem = make(map[kv.Locator][]byte), make(map[uint64][]byte)
	}
	return c
}

func (w *world) freeze(t *rapid.T) {
	c, err := w.live.Freeze()
	if w.open != nil {
		if err != kv.ErrCheckpointRunning {
			t.Fatalf("a second checkpoint: got %v, want %v", err, kv.ErrCheckpointRunning)
		}
		return
	}
	if err != nil {
		t.Fatalf("freeze: %v", err)
	}
	w.open, w.opened = c, w.model.Clone()
}

// finish writes the open checkpoint and commits it, or aborts it half way.
func (w *world) finish(t *rapid.T) {
	if w.open == nil {
		t.Skip("none is open")
	}
	c := w.open
	w.open = nil
	after := w.write(t, c)
	if chance(t, "abort") {
		c.Abort()
		return
	}
	c.Commit()
	if err := w.live.LoadPinned(t.Context()); err != nil {
		t.Fatalf("load: %v", err)
	}
	w.disk, w.live.disk = after, &after
	for loc := range after.records {
		r, err := kv.ParseRecord(loc, after.records[loc])
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		if w.sweep && w.live.Durable(r.Key) != loc {
			t.Fatalf("record %v of %q is left on a swept disk, and the slot names %v", loc, r.Key, w.live.Durable(r.Key))
		}
	}
}

func chance(t *rapid.T, label string) bool { return rapid.IntRange(0, 2).Draw(t, label) == 2 }

// write returns the disk as it is after c.
func (w *world) write(t *rapid.T, c *kv.Checkpoint) disk {
	d := w.disk.clone()
	same(t, "checkpoint position", c.Meta().At, w.opened.Position())
	var last kv.Locator
	for r, old := range c.Records() {
		loc := r.Locator()
		if loc.Rev < last.Rev || loc.Rev == last.Rev && loc.Ordinal <= last.Ordinal && last != (kv.Locator{}) {
			t.Fatalf("record %v after %v", loc, last)
		}
		last = loc
		if _, there := d.records[old]; old != (kv.Locator{}) && !there {
			t.Fatalf("record %v replaces %v, which is not on disk", loc, old)
		}
		d.records[loc] = r.AppendTo(nil)
		if w.sweep && old != loc {
			delete(d.records, old)
		}
	}
	for _, loc := range c.Dropped() {
		if _, there := d.records[loc]; !there {
			t.Fatalf("record %v was dropped and is not on disk", loc)
		}
		if w.sweep {
			delete(d.records, loc)
		}
	}
	for seq, b := range c.Idem() {
		if _, there := d.idem[seq]; there {
			t.Fatalf("idempotency record %d is written again", seq)
		}
		d.idem[seq] = slices.Clone(b)
	}
	for seq := range d.idem {
		if seq < c.Meta().IdemFirst {
			delete(d.idem, seq)
		}
	}
	for id, b := range c.Leases() {
		d.leases[id] = slices.Clone(b)
	}
	if c.PrivateChanged() {
		d.private = make(map[string][]byte)
		for name, b := range c.Private() {
			d.private[name] = slices.Clone(b)
		}
	}
	d.meta = c.Meta().AppendTo(nil)
	return d
}

// reload builds a state from the disk and the log, as a restart does. It runs
// beside the live one or, as after a crash, in its place.
func (w *world) reload(t *rapid.T) {
	m := newMachine(w.gen, w.clashes)
	from := 0
	if w.disk.meta != nil {
		from = w.load(t, m)
	}
	for i := from; i < len(w.log); i++ {
		w.replay(t, m, i+1)
	}
	w.compareState(t, m)
	if !chance(t, "crash") {
		w.twin = m
		return
	}
	w.live, w.twin, w.open, w.snaps = m, nil, nil, nil
	maps.DeleteFunc(w.disk.records, func(loc kv.Locator, b []byte) bool {
		r, err := kv.ParseRecord(loc, b)
		return w.sweep && err == nil && m.Durable(r.Key) != loc
	})
}

func (w *world) load(t *rapid.T, m *machine) (index int) {
	meta, err := kv.ParseMeta(w.disk.meta)
	if err != nil {
		t.Fatalf("meta: %v", err)
	}
	l := m.Load(meta)
	own := w.disk.clone()
	m.disk = &own
	alive := make(map[kv.Locator]string)
	byPlace := func(a, b kv.Locator) int {
		return cmp.Or(cmp.Compare(a.Rev, b.Rev), cmp.Compare(a.Ordinal, b.Ordinal))
	}
	for _, loc := range slices.SortedFunc(maps.Keys(w.disk.records), byPlace) {
		b := slices.Clone(w.disk.records[loc])
		parse := kv.ParseRecord
		if chance(t, "cold") {
			parse = kv.ParseColdRecord
		}
		r, err := parse(loc, b)
		clear(b)
		if err != nil {
			t.Fatalf("record %v: %v", loc, err)
		}
		old, named, err := l.Add(r)
		if err != nil {
			t.Fatalf("add record %v: %v", loc, err)
		}
		delete(alive, old)
		if named {
			alive[loc] = r.Key
		}
	}
	for seq := meta.IdemFirst; seq < meta.IdemNext; seq++ {
		if err := l.AddIdem(seq, w.disk.idem[seq]); err != nil {
			t.Fatalf("add idempotency record %d: %v", seq, err)
		}
	}
	for id, b := range w.disk.leases {
		if err := l.AddLease(id, b); err != nil {
			t.Fatalf("add lease %v: %v", id, err)
		}
	}
	for name, b := range w.disk.private {
		if err := l.AddPrivate(name, b); err != nil {
			t.Fatalf("add private record %s: %v", name, err)
		}
	}
	m.published = recorder{}
	if err := l.Done(); err != nil {
		t.Fatalf("load: %v", err)
	}
	if !m.published.reset {
		t.Fatalf("a loaded state told nobody to start over")
	}
	for loc, key := range alive {
		same(t, "durable record of "+key, m.Durable(key), loc)
	}
	same(t, "loaded position", m.Position(), meta.At)
	return int(meta.Index)
}
