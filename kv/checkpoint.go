package kv

import (
	"cmp"
	"errors"
	"iter"
	"slices"
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
	gone    map[string]*slot
	most    int // what fit notes of gone
	running bool
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
	slots []*slot
	bytes int64
	// dropped are gone slots, whose durable records are tombstones.
	dropped  []*slot
	idemFrom uint64
	idem     []*idemRecord
	leases   []leaseRecord
	// leaseChanges is how many changes of leases this checkpoint holds.
	leaseChanges uint64
	records      []Record
	olds         []*slot
}

// Freeze begins a checkpoint at the newest revision. It fails with
// ErrCheckpointRunning while another is open.
func (s *State) Freeze() (*Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu.machine
	if m.dirty.running {
		return nil, ErrCheckpointRunning
	}
	m.dirty.running = true
	c := &Checkpoint{state: s, view: s.openViewLocked(true)}
	c.slots, c.bytes = m.dirty.slots, m.dirty.bytes
	m.dirty.slots, m.dirty.bytes = nil, 0
	for key, sl := range m.dirty.gone {
		switch {
		case sl.dirty == m.dirty.number: // c.slots has it: the next one drops it
		case sl.durable() != Locator{}:
			c.dropped = append(c.dropped, sl)
		default:
			s.letGoLocked(key)
		}
	}
	m.dirty.number++
	c.idemFrom, c.idem = m.idem.unsaved()
	c.idem = slices.Clone(c.idem)
	c.leases, c.leaseChanges = m.leases.records(), m.leases.changes
	c.meta = Meta{
		Index: m.index, Term: m.term, At: c.view.at, Time: m.time, Floor: m.floor, Params: m.params,
		IdemFirst: m.idem.first, IdemNext: m.idem.next,
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
	c.commit()
	c.state.enter(written...)
}

func (c *Checkpoint) commit() {
	s := c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu.machine
	for _, sl := range c.dropped {
		sl.setDurable(Locator{})
		if m.dirty.gone[sl.key()] == sl {
			s.letGoLocked(sl.key())
		}
	}
	m.idem.saved, m.leases.saved = c.meta.IdemNext, c.leaseChanges
	s.committed.Store(uint64(c.meta.At.Rev))
	c.endLocked()
	s.countMemoryLocked()
}

// letGoLocked forgets a slot that has left map and index and that no record
// names.
func (s *State) letGoLocked(key string) {
	m := &s.mu.machine
	delete(m.dirty.gone, key)
	m.dirty.gone = fit(m.dirty.gone, &m.dirty.most)
	m.table -= slotCost(key)
}

// Abort says that nothing was written: all of it goes to the next checkpoint.
func (c *Checkpoint) Abort() {
	s := c.state
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu.machine
	for _, sl := range c.slots {
		if sl.dirty != m.dirty.number {
			sl.dirty = m.dirty.number
			m.dirty.slots = append(m.dirty.slots, sl)
		}
	}
	m.dirty.bytes += c.bytes
	c.endLocked()
}

func (c *Checkpoint) endLocked() {
	c.state.mu.dirty.running = false
	c.state.closeViewLocked(c.view)
	c.records, c.olds, c.dropped = []Record{}, nil, nil
}

// Durable returns the record that key's slot names; the zero Locator if none.
// The record of a key that was deleted and forgotten since the last checkpoint
// is still named: a restart from that checkpoint needs it. Durable belongs to
// the goroutine that writes checkpoints.
func (s *State) Durable(key string) Locator {
	if sl := s.slot(key); sl != nil {
		return sl.durable()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl := s.mu.dirty.gone[key]; sl != nil {
		return sl.durable()
	}
	if sl := s.slot(key); sl != nil { // it came back meanwhile
		return sl.durable()
	}
	return Locator{}
}
