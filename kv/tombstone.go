package kv

// tombstones are the deletions that are still remembered, oldest first. Those
// of keys that exist again lie in the queue too, but do not count: what is
// remembered depends only on what the keys are now, so that a state loaded from
// a checkpoint forgets the same.
type tombstones struct {
	queue []tombstone
	head  int
	live  int
}

type tombstone struct {
	slot  *slot
	entry *Entry
}

// current reports whether the key is still deleted by t.
func (t tombstone) current() bool { return t.slot.cur.Load() == t.entry }

// push adds the deletion e of sl, which is the slot's newest version.
func (t *tombstones) push(sl *slot, e *Entry) {
	t.queue = append(t.queue, tombstone{sl, e})
	t.live++
}

// replaced notes that a key whose deletion is remembered exists again. The
// queue is rid of such deletions before they are the larger part of it.
func (t *tombstones) replaced() {
	t.live--
	if len(t.queue) > 64 && len(t.queue) > 2*t.live {
		t.pack()
	}
}

func (t *tombstones) pack() {
	kept := t.queue[:0]
	for _, d := range t.queue[t.head:] {
		if d.current() {
			kept = append(kept, d)
		}
	}
	clear(t.queue[len(kept):])
	t.queue, t.head = kept, 0
}

// oldest returns the oldest deletion of a key that does not exist.
func (t *tombstones) oldest() (tombstone, bool) {
	for ; t.head < len(t.queue); t.head++ {
		if d := t.queue[t.head]; d.current() {
			return d, true
		}
		t.queue[t.head] = tombstone{}
	}
	t.queue, t.head = nil, 0
	return tombstone{}, false
}

// pop removes what oldest returned.
func (t *tombstones) pop() {
	t.queue[t.head] = tombstone{}
	t.head++
	t.live--
	if t.head > 64 && t.head*2 > len(t.queue) {
		t.pack()
	}
}

// forgetMost is how many deletions one entry forgets because of their age, and the rest of
// the last one's revision: after an idle hour all there are may be due at once, and writers
// wait for it.
const forgetMost = 1000

// forgetLocked drops the tombstones that are beyond the window. The floor moves
// with them: below it, what was deleted is no longer known. No tombstone at or
// below the floor stays, nor more than there may be.
func (s *State) forgetLocked() {
	m := &s.mu.machine
	oldest := m.time - m.params.TombstoneAge.Milliseconds()
	for n := 0; ; n++ {
		t, ok := m.tombs.oldest()
		if !ok {
			return
		}
		must := t.entry.Mod <= m.floor || m.tombs.live > m.params.TombstoneMax
		if aged := t.entry.Deadline() < oldest; !must && (!aged || n >= forgetMost) {
			return
		}
		s.raiseFloorLocked(t.entry.Mod)
		m.tombs.pop()
		s.removeLocked(t.slot)
	}
}

// raiseFloorLocked notes that deletions at or below rev may be forgotten. It
// comes before they are.
func (s *State) raiseFloorLocked(rev Rev) {
	m := &s.mu.machine
	m.floor = max(m.floor, rev)
	s.floor.Store(uint64(m.floor))
}

// Changed reports whether key was written or deleted after rev, which may be by
// a change that is not published yet. Where that is not known, because deletions
// after rev were forgotten, it is true.
func (s *State) Changed(key string, rev Rev) bool {
	if sl := s.slot(key); sl != nil {
		return sl.cur.Load().Mod > rev
	}
	return Rev(s.floor.Load()) > rev
}

// removeLocked takes a slot out of the map and the index.
func (s *State) removeLocked(sl *slot) {
	m := &s.mu.machine
	m.dirty.leave(sl)
	s.table.remove(sl)
	m.order.Delete(sl)
	m.indexChanged(sl, true)
}

// insertLocked puts a slot for key, whose newest version is e, into the map and
// the index.
func (s *State) insertLocked(key string, e *Entry) {
	m := &s.mu.machine
	sl := s.takeLocked(key)
	if sl == nil {
		sl = newSlot(key)
		m.table += slotCost(key)
	}
	s.installLocked(sl, e)
	s.table.add(sl)
	m.order.Set(sl)
	m.indexChanged(sl, false)
}
