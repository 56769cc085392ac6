package kv

import (
	"iter"
	"slices"
)

// drop lets go of up to most versions that closing views keep, and of the views that keep
// none any more. It returns how many it was, 0 if no view is closing.
func (n *snapshots) drop(most int) (dropped int) {
	for n.closing > 0 && dropped < most {
		dropped += max(1, n.dropOldest(most-dropped))
	}
	return dropped
}

// dropOldest is drop for the oldest view that is closing. A version goes to the newest
// older view that sees it, or away.
func (n *snapshots) dropOldest(most int) (dropped int) {
	i := slices.IndexFunc(n.open, func(v *view) bool { return v.closing })
	v, older := n.open[i], n.older(i)
	for _, list := range []*[]keptVersion{&v.kept, &v.cold} {
		from := max(0, len(*list)-(most-dropped))
		part := (*list)[from:]
		for _, k := range part {
			n.grow(v, -k.size())
			if older != nil && older.at.Rev >= k.entry.Mod {
				n.keep(older, k)
			} else {
				k.unlink()
			}
		}
		dropped += len(part)
		clear(part)
		*list = (*list)[:from]
	}
	if len(v.kept)+len(v.cold) == 0 {
		n.open = slices.Delete(n.open, i, i+1)
		n.closing--
	}
	return dropped
}

// older returns the newest view before the i-th that is not closing, nil if there is none.
func (n *snapshots) older(i int) *view {
	for i--; i >= 0; i-- {
		if !n.open[i].closing {
			return n.open[i]
		}
	}
	return nil
}

// dropSteps lets go of all that closing views keep.
func (s *State) dropSteps() iter.Seq[int] {
	return func(yield func(int) bool) {
		for {
			s.mu.Lock()
			n := s.mu.snaps.drop(lockStep)
			s.countMemoryLocked()
			s.mu.Unlock()
			if n == 0 || !yield(n) {
				return
			}
		}
	}
}

// boundSnapshotsLocked ends the oldest views while there are too many, they are
// too old, or they hold too much memory.
func (s *State) boundSnapshotsLocked() {
	m := &s.mu.machine
	for {
		i := slices.IndexFunc(m.snaps.open, func(v *view) bool { return !v.pinned })
		if i < 0 {
			return
		}
		v, count := m.snaps.open[i], len(m.snaps.open)-m.snaps.closing
		if m.dirty.running != nil {
			count--
		}
		if count <= s.opts.SnapshotMax && m.snaps.bytes <= s.opts.SnapshotBytes &&
			m.time-v.time <= s.opts.SnapshotAge.Milliseconds() {
			return
		}
		s.endViewLocked(i)
	}
}

// endViewLocked takes the i-th view from those who read it.
func (s *State) endViewLocked(i int) {
	n := &s.mu.snaps
	n.open[i].lost.Store(true)
	n.ended++
	n.close(n.open[i])
}

// EndOldestSnapshot ends the oldest snapshot, if memory is kept for any: so memory
// is had from those who do not read on, before a writer is refused. It returns false if
// no memory is to be had this way. It is safe for concurrent use.
func (s *State) EndOldestSnapshot() bool {
	if !s.endOldest() {
		return false
	}
	run(s.dropSteps())
	return true
}

func (s *State) endOldest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.mu.snaps.open
	if !slices.ContainsFunc(open, func(v *view) bool { return !v.pinned && v.bytes > 0 }) {
		return false
	}
	s.endViewLocked(slices.IndexFunc(open, func(v *view) bool { return !v.pinned }))
	return true
}
