package watch

import (
	"slices"
	"sync"
)

const (
	// aloneEvents is the default of Options.Alone.
	aloneEvents = 1024
	// lateRefs is about how many references are held for all watchers that are
	// led, and fewRefs how many each may have whatever their number.
	lateRefs, fewRefs = 1 << 18, 16
)

// late are the watchers that are far behind. The dispatcher leads them along the
// ring together, between its own passes: however many they are, each event is
// looked at once, and only those that it is for meet it.
type late struct {
	asked struct {
		sync.Mutex
		list []*straggler
	}
	// The rest belongs to the holder of the hub's lock. The ring is swept from
	// oldest to newest over and over, so that nobody waits for those who come
	// behind it.
	led   map[*Watcher]*straggler
	index *index
	swept uint64
}

// A straggler is a watcher that is led.
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

// ask has w led along the ring from at to end.
func (h *Hub) ask(w *Watcher, at cursor, end uint64) {
	s := &straggler{w: w, at: at, end: end}
	for l := range w.links() {
		s.links = append(s.links, link{name: l.name, watch: w, prefix: l.prefix})
	}
	a := &h.late.asked
	a.Lock()
	a.list = append(a.list, s)
	a.Unlock()
	h.wakeDispatcher()
}

// lead goes on with the sweep. It returns whether anybody is left to be led.
func (h *Hub) lead() (more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &h.late
	t.enter()
	if len(t.led) == 0 {
		return false
	}
	start := t.next()
	end, gone := t.sweep(h.ring, start)
	for _, s := range t.led {
		s.advance(start, end)
		if s.full || s.at.seq >= s.end || gone && s.at.seq <= end.seq {
			t.release(s)
			s.w.mail.lead(s.refs, s.at)
			s.w.wake()
		}
	}
	return len(t.led) > 0
}

// enter lets those in who have asked.
func (t *late) enter() {
	t.asked.Lock()
	list := t.asked.list
	t.asked.list = nil
	t.asked.Unlock()
	for _, s := range list {
		if _, closed := s.w.mail.state(); closed {
			continue
		}
		if t.led == nil {
			t.led, t.index = make(map[*Watcher]*straggler), newIndex()
		}
		t.led[s.w] = s
		for i := range s.links {
			t.index.add(&s.links[i])
		}
	}
}

// release lets go of one.
func (t *late) release(s *straggler) {
	for i := range s.links {
		t.index.remove(&s.links[i])
	}
	if delete(t.led, s.w); len(t.led) == 0 {
		t.led, t.index = nil, nil
	}
}

// next returns where to go on: at the first straggler from here on, or again at
// the first of all.
func (t *late) next() uint64 {
	first, ahead := ^uint64(0), ^uint64(0)
	for _, s := range t.led {
		first = min(first, s.at.seq)
		if s.at.seq >= t.swept {
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
func (t *late) sweep(r *ring, start uint64) (end cursor, gone bool) {
	m, most := r.mark(), min(maxMail, max(fewRefs, lateRefs/len(t.led)))
	end.seq = start
	for n, seq := 0, start; seq < m.next; n++ {
		rec := r.record(seq)
		if rec == nil {
			return end, true
		}
		t.index.match(rec.Key, func(w *Watcher) {
			if s := t.led[w]; s.at.seq >= start {
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
	t.swept = end.seq
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

// lead leaves what was found for a watcher that is behind, on its way up to at.
func (b *mailbox) lead(refs []ref, at cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.mu.letter; b.mu.behind {
		l.refs, l.from, l.led = refs, at, true
	}
}

// led returns what was found for a watcher that has asked, and how far it was
// brought; ok is false while it is under way.
func (b *mailbox) led() (refs []ref, at cursor, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.mu.letter
	refs, at, ok = l.refs, l.from, l.led
	if ok {
		l.refs, l.led = nil, false
	}
	return refs, at, ok
}

// readLed takes what was found for the watcher while it was led.
func (w *Watcher) readLed(s *Scratch) {
	refs, at, ok := w.mail.led()
	if !ok {
		return
	}
	w.phase = catchingUp
	w.move(at)
	w.sendRefs(s, refs)
}
