package kv

import (
	"iter"
	"maps"
	"slices"
)

// What a key leaves behind that was deleted and forgotten: its slot, as long as a durable
// record may name it.

// leave notes that sl has left the map and the index.
func (d *dirtySet) leave(sl *slot) { d.gone[sl.key()] = sl }

// left returns the slot that key has left behind, nil if there is none.
func (d *dirtySet) left(key string) *slot {
	if sl := d.gone[key]; sl != nil {
		return sl
	}
	return d.going[key]
}

// takeLocked returns the slot that key has left behind, which is that of the key again;
// nil if there is none.
func (s *State) takeLocked(key string) *slot {
	d := &s.mu.dirty
	if sl := d.going[key]; sl != nil {
		d.running.settleLocked(key, sl)
	}
	sl := d.gone[key]
	if sl != nil {
		delete(d.gone, key)
		d.gone = fit(d.gone, &d.most)
	}
	return sl
}

// letGoLocked forgets a slot that no record names.
func (s *State) letGoLocked(key string) {
	if s.takeLocked(key) != nil {
		s.mu.table -= slotCost(key)
	}
}

// settleLocked decides what becomes of a slot that was gone when the checkpoint was begun.
func (c *Checkpoint) settleLocked(key string, sl *slot) {
	m := &c.state.mu.machine
	delete(m.dirty.going, key)
	switch {
	case sl.dirty == c.number: // c.slots has it: the next one drops it
	case sl.durable() != Locator{}:
		c.dropped = append(c.dropped, sl)
	default:
		m.table -= slotCost(key)
		return
	}
	m.dirty.gone[key] = sl
}

// settleSteps decides about all that were gone when the checkpoint was begun.
func (c *Checkpoint) settleSteps() iter.Seq[int] {
	going := func() iter.Seq2[string, *slot] {
		if d := &c.state.mu.dirty; d.running == c {
			return maps.All(d.going)
		}
		return maps.All(map[string]*slot(nil))
	}
	return steps(c.state, going, c.settleLocked)
}

// letGoSteps forgets the slots whose records the checkpoint has dropped.
func (c *Checkpoint) letGoSteps() iter.Seq[int] {
	dropped := func() iter.Seq2[int, *slot] { return slices.All(c.dropped) }
	return steps(c.state, dropped, func(_ int, sl *slot) {
		sl.setDurable(Locator{})
		if c.state.mu.dirty.gone[sl.key()] == sl {
			c.state.letGoLocked(sl.key())
		}
	})
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
	if sl := s.mu.dirty.left(key); sl != nil {
		return sl.durable()
	}
	if sl := s.slot(key); sl != nil { // it was created again meanwhile
		return sl.durable()
	}
	return Locator{}
}
