package kv

// Bounds on one step of eviction.
const (
	// evictLook is how many keys are looked at while the lock of the lists is held.
	evictLook = 128
	// evictSteps is how often that lock is acquired.
	evictSteps = 16
)

// A victim is a key that is to lose its value, and the version that was seen.
type victim struct {
	slot  *slot
	entry *Entry
}

// Evict drops values of at least want bytes in all from memory, the coldest
// first, or as many as a bounded amount of work allows, and returns how many
// bytes that freed; 0 if there is nothing to drop. Only values that the last
// checkpoint holds are dropped. It is safe for concurrent use and makes no writer
// wait.
func (s *State) Evict(want int64) (freed int64) {
	var victims []victim
	for range evictSteps {
		if freed >= want {
			break
		}
		victims = s.chooseVictims(victims[:0], want-freed)
		for _, v := range victims {
			freed += s.cool(v)
		}
		if len(victims) == 0 && s.evictableBytes() == 0 {
			break
		}
	}
	return freed
}

// cool replaces the victim's entry by one without a value, unless it was
// replaced meanwhile, and returns the bytes freed.
func (s *State) cool(v victim) int64 {
	cold := v.entry.cooled()
	if !v.slot.cur.CompareAndSwap(v.entry, cold) {
		return 0
	}
	s.memory.evictions.Add(1)
	s.memory.swap(v.entry, cold)
	return v.entry.cost() - cold.cost()
}

// chooseVictims appends keys that take at least want bytes, which leave the
// lists.
func (s *State) chooseVictims(victims []victim, want int64) []victim {
	r := &s.residents
	r.mu.Lock()
	defer r.mu.Unlock()
	for range evictLook {
		if want <= 0 {
			break
		}
		sl, e, p := s.oldestLocked()
		if sl == nil {
			break
		}
		r.listLocked(p).remove(sl, e.cost())
		if s.spareLocked(sl, e, p) {
			continue
		}
		if p == placeSmall {
			r.mu.left++
		}
		sl.access.stamp(r.mu.left)
		victims = append(victims, victim{sl, e})
		want -= e.cost()
	}
	return victims
}

// oldestLocked returns the key whose turn it is. One whose newest version is not
// evictable is about to be removed by apply, which is waiting for the lock.
func (s *State) oldestLocked() (*slot, *Entry, place) {
	r := &s.residents
	first, second := placeSmall, placeMain
	if r.mu.small.bytes*smallShare < r.mu.small.bytes+r.mu.main.bytes {
		first, second = second, first
	}
	for _, p := range [...]place{first, second} {
		for sl := r.listLocked(p).oldest; sl != nil; sl = sl.newer {
			if e := sl.cur.Load(); s.evictable(e) {
				return sl, e, p
			}
		}
	}
	return nil, nil, placeNone
}

// spareLocked puts a key that is not to be evicted yet back into a list.
func (s *State) spareLocked(sl *slot, e *Entry, from place) bool {
	switch {
	case e.prev.Load() != nil:
		// A snapshot keeps the version before: unlinking that needs this entry.
	case from == placeSmall && sl.access.reads() >= promoteReads:
		sl.access.forget(true)
		from = placeMain
	case from == placeMain && sl.access.reads() > 0:
		sl.access.forget(false)
	default:
		return false
	}
	sl.access.setPlace(from)
	s.residents.listLocked(from).push(sl, e.cost())
	return true
}

// evictableBytes returns how many bytes could be evicted.
func (s *State) evictableBytes() int64 {
	r := &s.residents
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.small.bytes + r.mu.main.bytes
}
