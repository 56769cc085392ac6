package kv

import (
	"strings"
	"sync"
)

const (
	// smallShare is the part of the evictable bytes that newcomers get: one in
	// smallShare. See [residents].
	smallShare = 10
	// promoteReads is how many reads take a key from the small list to the main
	// one.
	promoteReads = 1
)

// residents are the keys whose value can be dropped from memory at once: it is
// in memory, the checkpoint holds the same version, and it is large enough. They
// are kept in the two queues of S3-FIFO (Yang et al., "FIFO queues are all you
// need for cache eviction", SOSP 2023), by bytes, linked through the slots: a
// small one that newcomers pass through, so that what is read once leaves soon,
// and a main one, in which what was read stays for another round. The third queue
// of S3-FIFO, the keys that left the small one of late, is a stamp in the slot.
//
// A key enters when its checkpoint is committed, when a reader brings its value
// back, or at start; it leaves when it is evicted, written to or deleted.
type residents struct {
	mu struct {
		sync.Mutex
		small, main slotList
		// left counts the keys that were evicted from small.
		left uint32
	}
}

// A slotList is a queue of slots: pushed at the newest end, taken from the
// oldest.
type slotList struct {
	newest, oldest *slot
	n              int
	bytes          int64
}

func (l *slotList) push(sl *slot, bytes int64) {
	sl.newer, sl.older = nil, l.newest
	if l.newest != nil {
		l.newest.newer = sl
	} else {
		l.oldest = sl
	}
	l.newest = sl
	l.n++
	l.bytes += bytes
}

func (l *slotList) remove(sl *slot, bytes int64) {
	if sl.newer != nil {
		sl.newer.older = sl.older
	} else {
		l.newest = sl.older
	}
	if sl.older != nil {
		sl.older.newer = sl.newer
	} else {
		l.oldest = sl.newer
	}
	sl.newer, sl.older = nil, nil
	l.n--
	l.bytes -= bytes
}

// list returns the list of a place, nil for none.
func (r *residents) listLocked(p place) *slotList {
	switch p {
	case placeSmall:
		return &r.mu.small
	case placeMain:
		return &r.mu.main
	}
	return nil
}

// enterLocked adds sl if it can be evicted. The place is set before the entry is
// looked at, and apply looks at the place after it has replaced the entry: one of
// the two always sees the other, so that no key stays that was written to.
func (s *State) enterLocked(sl *slot) {
	r := &s.residents
	if sl.access.place() != placeNone || strings.HasPrefix(sl.key(), ReservedPrefix) {
		return // who holds a lock is always at hand
	}
	p := placeSmall
	if v := sl.access.Load(); v&accessProven != 0 || sl.access.ghost(r.mu.left, r.mu.main.n) {
		p = placeMain
	}
	sl.access.change(accessPlace|accessProven|accessGhost, uint32(p)<<2)
	e := sl.cur.Load()
	if !s.evictable(e) {
		sl.access.setPlace(placeNone)
		return
	}
	r.listLocked(p).push(sl, e.cost())
}

// Evicts reports whether values can leave memory at all: there is somewhere to read
// them from again.
func (s *State) Evicts() bool { return s.opts.Cold != nil }

// evictable reports whether e, the newest version of its key, can be dropped
// from memory, now or once no snapshot keeps its predecessor.
// It never can where there is nothing to read it from again.
func (s *State) evictable(e *Entry) bool {
	return s.opts.Cold != nil && !e.cold && !e.Deleted() && e.size >= s.opts.ColdMin && uint64(e.Mod) <= s.committed.Load()
}

// enter adds slots that may be evictable.
func (s *State) enter(slots ...*slot) {
	const step = 256 // so that no goroutine waits long for the lock
	for len(slots) > 0 {
		n := min(step, len(slots))
		s.residents.mu.Lock()
		for _, sl := range slots[:n] {
			s.enterLocked(sl)
		}
		s.residents.mu.Unlock()
		slots = slots[n:]
	}
}

// leave takes sl out; its entry old was replaced.
func (r *residents) leave(sl *slot, old *Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := sl.access.place()
	l := r.listLocked(p)
	if l == nil {
		return
	}
	l.remove(sl, old.cost())
	bits := uint32(0)
	if p == placeMain {
		bits = accessProven
	}
	sl.access.change(accessPlace|accessProven, bits)
}
