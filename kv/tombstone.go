package kv

// tombstones is the queue of deletions that are still remembered, oldest first.
type tombstones struct {
	queue []tombstone
	head  int
}

type tombstone struct {
	slot  *slot
	entry *Entry
}

func (t *tombstones) len() int { return len(t.queue) - t.head }

func (t *tombstones) push(sl *slot, e *Entry) { t.queue = append(t.queue, tombstone{sl, e}) }

// pop removes the oldest; the queue must not be empty.
func (t *tombstones) pop() {
	t.queue[t.head] = tombstone{}
	t.head++
	if t.head > 64 && t.head*2 > len(t.queue) {
		n := copy(t.queue, t.queue[t.head:])
		clear(t.queue[n:])
		t.queue, t.head = t.queue[:n], 0
	}
}

// forgetLocked drops the tombstones that are beyond the window. The floor moves
// with them: below it, what was deleted is no longer known.
func (s *State) forgetLocked() {
	m := &s.mu.machine
	oldest := m.time - m.params.TombstoneAge.Milliseconds()
	for m.tombs.len() > 0 {
		t := m.tombs.queue[m.tombs.head]
		if m.tombs.len() <= m.params.TombstoneMax && t.entry.Deadline >= oldest {
			return
		}
		m.tombs.pop()
		m.floor = max(m.floor, t.entry.Mod)
		if t.slot.cur.Load() == t.entry {
			s.removeLocked(t.slot)
		}
	}
}

// removeLocked takes a slot out of the map and the index.
func (s *State) removeLocked(sl *slot) {
	m := &s.mu.machine
	sl.forgotten = true
	m.dirty.forgotten = append(m.dirty.forgotten, sl)
	s.shard(sl.key).Delete(sl.key)
	m.order.Delete(sl.key)
}
