package watch

import (
	"slices"
	"sync"
)

const (
	// selfReadMax is the default of Options.SelfReadMax.
	selfReadMax = 1024
	// catchupRefs is about how many references are held for all watchers in the
	// shared catch-up, and fewRefs how many each may have whatever their number.
	catchupRefs, fewRefs = 1 << 18, 16
)

// A catchup serves the watchers that are far behind. The dispatcher sweeps the ring
// for them together, between its own passes: however many they are, each event is
// looked at once, and only those that it is for meet it.
type catchup struct {
	joining struct {
		sync.Mutex
		list []*straggler
	}
	// The rest belongs to the holder of the hub's lock. The ring is swept from
	// oldest to newest over and over, so that none waits for those who come
	// behind it.
	sweeping map[*Watcher]*straggler
	index    *index
	swept    uint64
}

// A straggler is a watcher in the shared catch-up.
type straggler struct {
	w     *Watcher
	links []link
	// at is how far it has come, end the number of the event before which it is
	// left to itself again.
	at  cursor
	end uint64
	// refs are what was found for it, of whole revisions.
	refs []ref
	full bool
}

// join has the shared catch-up take w along the ring from at to end.
func (h *Hub) join(w *Watcher, at cursor, end uint64) {
	s := &straggler{w: w, at: at, end: end}
	for l := range w.links() {
		s.links = append(s.links, link{name: l.name, watch: w, prefix: l.prefix})
	}
	j := &h.catchup.joining
	j.Lock()
	j.list = append(j.list, s)
	j.Unlock()
	h.wakeDispatcher()
}

// sweepLate continues the sweep. It returns whether a straggler is left.
func (h *Hub) sweepLate() (more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.catchup
	c.enter()
	if len(c.sweeping) == 0 {
		return false
	}
	start := c.next()
	end, gone := c.sweep(h.ring, start)
	for _, s := range c.sweeping {
		s.advance(start, end)
		if s.full || s.at.seq >= s.end || gone && s.at.seq <= end.seq {
			c.release(s)
			s.w.mail.swept(s.refs, s.at)
			s.w.wake()
		}
	}
	return len(c.sweeping) > 0
}

// enter adds the watchers that have joined.
func (c *catchup) enter() {
	c.joining.Lock()
	list := c.joining.list
	c.joining.list = nil
	c.joining.Unlock()
	for _, s := range list {
		if _, closed := s.w.mail.state(); closed {
			continue
		}
		if c.sweeping == nil {
			c.sweeping, c.index = make(map[*Watcher]*straggler), newIndex()
		}
		c.sweeping[s.w] = s
		for i := range s.links {
			c.index.add(&s.links[i])
		}
	}
}

// release removes one.
func (c *catchup) release(s *straggler) {
	for i := range s.links {
		c.index.remove(&s.links[i])
	}
	if delete(c.sweeping, s.w); len(c.sweeping) == 0 {
		c.sweeping, c.index = nil, nil
	}
}

// next returns where to go on: at the first straggler from here on, or again at
// the first of all.
func (c *catchup) next() uint64 {
	first, ahead := ^uint64(0), ^uint64(0)
	for _, s := range c.sweeping {
		first = min(first, s.at.seq)
		if s.at.seq >= c.swept {
			ahead = min(ahead, s.at.seq)
		}
	}
	if ahead < ^uint64(0) {
		return ahead
	}
	return first
}

// sweep looks at the events from start on, about passEvents of them, up to the
// end of a revision. gone says that those after that are gone.
func (c *catchup) sweep(r *ring, start uint64) (end cursor, gone bool) {
	m, most := r.mark(), min(maxMail, max(fewRefs, catchupRefs/len(c.sweeping)))
	end.seq = start
	for n, seq := 0, start; seq < m.next; n++ {
		rec := r.record(seq)
		if rec == nil {
			return end, true
		}
		c.index.match(rec.Key, func(w *Watcher) {
			if s := c.sweeping[w]; s.at.seq >= start {
				s.find(rec, most)
			}
		})
		if seq++; rec.Last {
			end = cursor{seq, rec.Entry.Mod}
			if n >= passEvents {
				break
			}
		}
	}
	c.swept = end.seq
	return end, false
}

// find notes an event that matches, unless the straggler has as many as it may.
func (s *straggler) find(rec *record, most int) {
	rev := rec.Entry.Mod
	if s.full || rec.seq < s.at.seq || rev <= s.at.rev {
		return
	}
	if n := len(s.refs); n >= most && s.refs[n-1].rev != rev {
		s.full, s.at = true, cursor{rec.seq, s.refs[n-1].rev}
		return
	}
	s.refs = append(s.refs, ref{seq: rec.seq, rev: rev})
}

// advance says that the sweep went from start to end. What was found after that
// is dropped.
func (s *straggler) advance(start uint64, end cursor) {
	if s.full || s.at.seq < start || s.at.seq > end.seq {
		return
	}
	s.at = cursor{end.seq, max(s.at.rev, end.rev)}
	s.refs = slices.DeleteFunc(s.refs, func(r ref) bool { return r.rev > s.at.rev })
}

// swept leaves what the sweep found, up to at, for a watcher that is behind.
func (b *mailbox) swept(refs []ref, at cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.mu.letter; b.mu.behind {
		l.refs, l.from, l.swept = refs, at, true
	}
}

// takeSwept returns what the sweep found, and how far the watcher was brought; ok is
// false while the sweep is under way.
func (b *mailbox) takeSwept() (refs []ref, at cursor, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.mu.letter
	refs, at, ok = l.refs, l.from, l.swept
	if ok {
		l.refs, l.swept = nil, false
	}
	return refs, at, ok
}

// readSwept takes what the shared catch-up found for the watcher.
func (w *Watcher) readSwept(s *Scratch) {
	refs, at, ok := w.mail.takeSwept()
	if !ok {
		return
	}
	w.phase = catchingUp
	w.move(at)
	w.sendRefs(s, refs)
}
