package kv

import (
	"cmp"
	"errors"
	"iter"
	"slices"

	"github.com/tidwall/btree"
)

// ErrCheckpointRunning is returned when a checkpoint is begun while another is
// neither committed nor aborted.
var ErrCheckpointRunning = errors.New("a checkpoint is running")

// A dirtySet lists the slots that changed since the last checkpoint was begun.
// number is that of the checkpoint that will write them.
type dirtySet struct {
	number uint32
	slots  []*slot
	bytes  int64
	// gone holds the slots that have left the map and the index while a durable
	// record may still name them. A key that is created again gets the same slot.
	gone map[string]*slot
	most int // what fit notes of gone
	// going is what gone was when the running checkpoint was begun, less what that has
	// looked at.
	going   map[string]*slot
	running *Checkpoint // nil if none is
}

// add lists sl, which now holds a value of size bytes.
func (d *dirtySet) add(sl *slot, size int) {
	d.bytes += int64(len(sl.key()) + size + entryOverhead/4)
	if sl.dirty != d.number {
		sl.dirty = d.number
		d.slots = append(d.slots, sl)
	}
}

// A Checkpoint is a reader of the state at one revision together with the list
// of what changed since the checkpoint before. It belongs to one goroutine,
// which calls Commit or Abort exactly once.
type Checkpoint struct {
	state *State
	view  *view
	meta  Meta
	// slots are those that changed, numbered with the checkpoint's number.
	slots  []*slot
	number uint32
	bytes  int64
	// dropped are gone slots, whose durable records are tombstones. It belongs to the
	// holder of the apply lock until all that are going were looked at.
	dropped  []*slot
	idemFrom uint64
	idem     []*idemRecord
	leases   *leaseCopy
	// leaseChanges is how many changes of leases this checkpoint holds.
	leaseChanges uint64
	// private are the private records of the checkpoint; privateChanges is how many changes of
	// them it holds, privateBefore how many the one before.
	private                       *btree.Map[string, PrivateRecord]
	privateChanges, privateBefore uint64
	records                       []Record
	olds                          []*slot
}

// Freeze begins a checkpoint at the newest revision. It fails with
// ErrCheckpointRunning while another is open. However much the checkpoint holds, nothing
// is copied here but what it takes to name the new idempotency records, 8 bytes each:
// the rest is copied before it changes, or in steps while it is read.
func (s *State) Freeze() (*Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu.machine
	if m.dirty.running != nil {
		return nil, ErrCheckpointRunning
	}
	c := &Checkpoint{state: s, view: s.openViewLocked(true), number: m.dirty.number}
	m.dirty.running = c
	c.slots, c.bytes = m.dirty.slots, m.dirty.bytes
	m.dirty.slots, m.dirty.bytes = nil, 0
	m.dirty.going, m.dirty.gone, m.dirty.most = m.dirty.gone, make(map[string]*slot), 0
	m.dirty.number++
	c.idemFrom, c.idem = m.idem.unsaved()
	c.idem = slices.Clone(c.idem)
	c.leases, c.leaseChanges = m.leases.copyFrom(), m.leases.changes
	c.private, c.privateChanges, c.privateBefore = m.private.byName.Copy(), m.private.changes, m.private.saved
	c.meta = Meta{
		Index: m.index, Term: m.term, At: c.view.at, Time: m.time, Floor: m.floor, Params: m.params, Roster: m.roster,
		IdemFirst: m.idem.first, IdemNext: m.idem.next, Auth: m.private.auth,
	}
	return c, nil
}

// Meta returns how far the checkpoint reaches.
func (c *Checkpoint) Meta() Meta { return c.meta }

// Len returns the number of keys that changed, Bytes about how many bytes they
// take.
func (c *Checkpoint) Len() int { return len(c.slots) }

// Bytes returns about how many bytes the changed keys and values take.
func (c *Checkpoint) Bytes() int64 { return c.bytes }

// Records ranges over the changed keys in order of (revision, ordinal), each
// with the durable record that it replaces.
func (c *Checkpoint) Records() iter.Seq2[Record, Locator] {
	c.collect()
	return func(yield func(Record, Locator) bool) {
		for i, r := range c.records {
			if !yield(r, c.olds[i].durable()) {
				return
			}
		}
	}
}

// collect finds and orders the versions to write. A forgotten tombstone that
// hides nothing on disk is left out.
func (c *Checkpoint) collect() {
	if c.records != nil {
		return
	}
	run(c.settleSteps())
	type pair struct {
		slot  *slot
		entry *Entry
	}
	pairs := make([]pair, 0, len(c.slots))
	for _, sl := range c.slots {
		e, _ := sl.at(c.view.at.Rev)
		if e == nil || e.Deleted() && e.Mod <= c.meta.Floor && sl.durable() == (Locator{}) {
			continue
		}
		if e.cached {
			e = e.reference()
		}
		if e.referred() && e.recorded().Rev > c.view.at.Rev {
			if sl.durable().Rev >= e.Mod {
				continue // this version is on disk; the next checkpoint writes the reference
			}
			e = e.recordedAt(Locator{e.Mod, e.ordinal})
		}
		pairs = append(pairs, pair{sl, e})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		x, y := a.entry.locator(), b.entry.locator()
		return cmp.Or(cmp.Compare(x.Rev, y.Rev), cmp.Compare(x.Ordinal, y.Ordinal))
	})
	c.records = make([]Record, len(pairs))
	c.olds = make([]*slot, len(pairs))
	for i, p := range pairs {
		c.records[i], c.olds[i] = Record{p.slot.key(), p.entry}, p.slot
	}
}

// Dropped returns the durable records that no key names any more: tombstones
// that have been forgotten.
func (c *Checkpoint) Dropped() []Locator {
	run(c.settleSteps())
	out := make([]Locator, len(c.dropped))
	for i, sl := range c.dropped {
		out[i] = sl.durable()
	}
	return out
}

// Idem ranges over the idempotency records made since the last checkpoint, by
// sequence number. The bytes are valid until the next iteration.
func (c *Checkpoint) Idem() iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		var b []byte
		for i, rec := range c.idem {
			seq := c.idemFrom + uint64(i)
			b = rec.appendTo(b[:0], seq)
			if !yield(seq, b) {
				return
			}
		}
	}
}

// Commit says that everything is durable: keys name their new records.
func (c *Checkpoint) Commit() {
	c.collect()
	for i, sl := range c.olds {
		sl.setDurable(c.records[i].Locator())
	}
	written := c.olds
	run(c.letGoSteps())
	c.commit()
	run(c.state.dropSteps())
	c.state.enter(written...)
}

func (c *Checkpoint) commit() {
	s := c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu.machine
	m.idem.saved, m.leases.saved = c.meta.IdemNext, c.leaseChanges
	m.private.saved = c.privateChanges
	s.committed.Store(uint64(c.meta.At.Rev))
	c.endLocked()
}

// Abort says that nothing was written: all of it goes to the next checkpoint.
func (c *Checkpoint) Abort() {
	run(c.settleSteps())
	run(c.redoSteps())
	c.abort()
	run(c.state.dropSteps())
}

func (c *Checkpoint) abort() {
	s := c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.dirty.bytes += c.bytes
	c.endLocked()
}

// redoSteps gives the changed keys to the next checkpoint.
func (c *Checkpoint) redoSteps() iter.Seq[int] {
	d := &c.state.mu.dirty
	return steps(c.state, func() iter.Seq2[int, *slot] { return slices.All(c.slots) }, func(_ int, sl *slot) {
		if sl.dirty != d.number {
			sl.dirty = d.number
			d.slots = append(d.slots, sl)
		}
	})
}

func (c *Checkpoint) endLocked() {
	m := &c.state.mu.machine
	m.dirty.running, m.dirty.going, m.leases.copying = nil, nil, nil
	c.state.closeViewLocked(c.view)
	c.state.countMemoryLocked()
	c.records, c.olds, c.dropped = []Record{}, nil, nil
}
