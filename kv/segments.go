package kv

import (
	"context"
	"iter"
	"maps"
	"strings"
	"sync"
)

// segments counts, for each segment that a newest version refers to, those
// versions. The counts follow from the entries, so they are the same on every
// node and need no place in a checkpoint. A segment that nothing refers to has no
// count.
type segments struct {
	mu struct {
		sync.Mutex
		live map[SegmentID]Live
		// all is the sum of what is alive.
		all Live
	}
}

// Live is what is alive in a segment: values, and their bytes.
type Live struct{ Values, Bytes int64 }

func (g *segments) add(e *Entry, sign int64) {
	if !e.inSegment() {
		return
	}
	id := e.segment()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.live == nil {
		g.mu.live = make(map[SegmentID]Live)
	}
	l, size := g.mu.live[id], sign*int64(e.Size())
	l.Values, l.Bytes = l.Values+sign, l.Bytes+size
	g.mu.all.Values, g.mu.all.Bytes = g.mu.all.Values+sign, g.mu.all.Bytes+size
	if l.Values == 0 {
		delete(g.mu.live, id)
		return
	}
	g.mu.live[id] = l
}

// Segments returns what is alive in each segment that a key refers to.
func (s *State) Segments() map[SegmentID]Live {
	g := &s.memory.segments
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.mu.live)
}

// SegmentSums returns how many segments keys refer to, and what is alive in them in
// all. It costs the same however many there are.
func (s *State) SegmentSums() (n int, all Live) {
	g := &s.memory.segments
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.mu.live), g.mu.all
}

// KeptSegments returns the segments that only versions refer to which open
// snapshots keep.
func (s *State) KeptSegments() map[SegmentID]bool {
	kept := make(map[SegmentID]bool)
	for _, k := range s.keptCold() {
		if k.entry.referred() {
			kept[k.entry.segment()] = true
		}
	}
	return kept
}

// A Resident is a version whose value may be moved.
type Resident struct {
	Key   string
	entry *Entry
	slot  *slot
}

// Size returns the length of its value in bytes, At what a Ref names it by, and
// Hash what a Ref holds of its value.
func (r Resident) Size() int { return r.entry.Size() }

// At returns what a Ref names the version by.
func (r Resident) At() Locator { return Locator{r.entry.Mod, r.entry.ordinal} }

// Hash returns what a Ref holds of the value.
func (r Resident) Hash() [HashSize]byte { return r.entry.hash() }

// Tier returns where the value is, TierMemory only if it is nowhere else but
// in the checkpoint.
func (r Resident) Tier() Tier {
	if r.entry.inSegment() {
		return TierObject
	}
	return r.entry.tier
}

// InMemory reports whether the value is in memory, wherever else it is.
func (r Resident) InMemory() bool { return !r.entry.cold }

// Idle reports whether the key was neither read nor written since Age was called.
func (r Resident) Idle() bool { return r.slot.access.Load()&accessIdle != 0 }

// Age marks the key as idle.
func (r Resident) Age() { r.slot.access.change(accessIdle, accessIdle) }

// Segment returns the segment that holds the value; ok is false if none does.
func (r Resident) Segment() (id SegmentID, ok bool) {
	if !r.entry.inSegment() {
		return id, false
	}
	return r.entry.segment(), true
}

// Residents ranges, in order of key, over the newest versions that the last
// checkpoint holds and whose value may leave memory: it is large enough and not
// that of a lock. It is no snapshot, makes no writer wait and counts as no read.
func (s *State) Residents() iter.Seq[Resident] {
	return func(yield func(Resident) bool) {
		s.mu.Lock()
		order := s.mu.order.copy()
		s.mu.Unlock()
		order.Scan(func(sl *slot) bool {
			key := sl.key()
			e := sl.cur.Load()
			if e.Deleted() || e.Size() < s.opts.ColdMin || uint64(e.Mod) > s.committed.Load() ||
				strings.HasPrefix(key, ReservedPrefix) {
				return true
			}
			return yield(Resident{key, e, sl})
		})
	}
}

// Fetch returns the value of r. It counts as no read and does not stay in memory.
// It fails with ErrColdGone if the key has changed since, and else as a ColdReader
// does.
func (s *State) Fetch(ctx context.Context, r Resident) (string, error) {
	for e := r.entry; ; {
		if !e.cold {
			return e.Value(), nil
		}
		value, err := s.flights.read(ctx, s.opts.Cold, e.ref(r.Key))
		now := r.slot.cur.Load()
		if err == nil || now == e || now.Mod != e.Mod {
			return value, err
		}
		e = now // the same version, in another tier meanwhile
	}
}
