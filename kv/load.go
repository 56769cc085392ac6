package kv

import (
	"fmt"
	"slices"
	"strings"
)

// A Loader fills a fresh state with a checkpoint. It belongs to one goroutine;
// no other may use the state before Done has returned.
type Loader struct {
	state *State
	meta  Meta
	last  Locator
	slots []*slot
}

// Load begins to fill s, which must be new, with the checkpoint of meta.
func (s *State) Load(meta Meta) *Loader {
	m := &s.mu.machine
	m.index, m.term, m.time = meta.Index, meta.Term, meta.Time
	m.rev, m.params, m.roster = meta.At.Rev, meta.Params, meta.Roster
	s.raiseFloorLocked(meta.Floor)
	m.idem.first, m.idem.next, m.idem.saved = meta.IdemFirst, meta.IdemFirst, meta.IdemNext
	m.private.auth = meta.Auth
	s.epoch.Store(uint32(meta.At.Epoch))
	s.committed.Store(uint64(meta.At.Rev))
	return &Loader{state: s, meta: meta}
}

// Add takes the next record; records come in ascending order of Locator. It
// returns the durable record of the same key that this one replaces, and
// whether this one is alive, that is, named by its key: a deletion that is
// forgotten is not. It fails with an error that matches ErrDamaged if records
// are out of order or beyond the checkpoint.
func (l *Loader) Add(r Record) (old Locator, alive bool, err error) {
	at := r.Locator()
	if at.Rev > l.meta.At.Rev || at.Rev < l.last.Rev || at.Rev == l.last.Rev && at.Ordinal <= l.last.Ordinal {
		return old, false, fmt.Errorf("%w: record %d.%d of key %.80q is out of place", ErrDamaged, at.Rev, at.Ordinal, r.Key)
	}
	l.last = at
	s, m := l.state, &l.state.mu.machine
	forgotten := r.Entry.Deleted() && r.Entry.Mod <= l.meta.Floor
	sl := s.slot(r.Key)
	if sl == nil {
		if forgotten {
			return old, false, nil
		}
		sl = newSlot(r.Key)
		m.table += slotCost(sl.key())
		s.table.add(sl)
		l.slots = append(l.slots, sl)
	} else {
		old = sl.durable()
		l.uncount(sl)
	}
	if forgotten {
		// A deletion at or below the floor, like all before it.
		s.memory.swap(sl.cur.Swap(r.Entry), r.Entry)
		s.table.remove(sl)
		m.table -= slotCost(sl.key())
		return old, false, nil
	}
	before := sl.cur.Swap(r.Entry)
	s.memory.swap(before, r.Entry)
	sl.setDurable(at)
	if before != nil && before.Deleted() {
		m.tombs.replaced()
	}
	if r.Entry.Deleted() {
		m.tombs.push(sl, r.Entry)
	} else {
		l.count(sl)
	}
	return old, true, nil
}

func (l *Loader) count(sl *slot) {
	m, e := &l.state.mu.machine, sl.cur.Load()
	m.keys++
	m.bytes += int64(len(sl.key()) + e.Size())
	l.state.digestLocked(sl.key(), nil, e)
	m.keyBytes += int64(len(sl.key()))
	if e.Deadline() != 0 {
		m.deadlines.Set(deadline{e.Deadline(), sl})
	}
}

func (l *Loader) uncount(sl *slot) {
	m, e := &l.state.mu.machine, sl.cur.Load()
	if e.Deleted() {
		return
	}
	m.keys--
	m.bytes -= int64(len(sl.key()) + e.Size())
	l.state.digestLocked(sl.key(), e, nil)
	m.keyBytes -= int64(len(sl.key()))
	if e.Deadline() != 0 {
		m.deadlines.Delete(deadline{e.Deadline(), sl})
	}
}

// AddIdem takes the idempotency record with the given sequence number; they
// come in ascending order without a gap. It fails with an error that matches
// ErrDamaged.
func (l *Loader) AddIdem(seq uint64, b []byte) error {
	t := &l.state.mu.idem
	rec, ok := parseIdemRecord(seq, b)
	if !ok || seq != t.next || seq >= l.meta.IdemNext {
		return fmt.Errorf("%w: idempotency record %d", ErrDamaged, seq)
	}
	t.add(rec)
	return nil
}

// Done builds the index and publishes the state. It fails with an error that
// matches ErrDamaged if idempotency records are missing, or a lease that a key
// is attached to.
func (l *Loader) Done() error {
	s, m := l.state, &l.state.mu.machine
	if m.idem.next != l.meta.IdemNext {
		return fmt.Errorf("%w: idempotency records %d to %d are missing", ErrDamaged, m.idem.next, l.meta.IdemNext)
	}
	s.enter(l.slots...)
	slices.SortFunc(l.slots, func(a, b *slot) int { return strings.Compare(a.key(), b.key()) })
	for _, sl := range l.slots {
		if s.slot(sl.key()) != sl {
			continue
		}
		m.order.Load(sl)
		if err := l.attach(sl); err != nil {
			return err
		}
	}
	l.slots = nil
	m.leases.saved = m.leases.changes
	m.reset = true
	s.publishLocked()
	return nil
}

// ColdBytes returns how many bytes of a checkpoint, the oldest records first, are
// to be loaded cold so that the state stays within StateOptions.MemoryMax: of
// records that live in it, which take bytes in all.
func (l *Loader) ColdBytes(records, bytes int64) int64 {
	most := l.state.opts.MemoryMax
	if most == 0 {
		return 0
	}
	return max(0, bytes-max(0, most-records*entryOverhead))
}
