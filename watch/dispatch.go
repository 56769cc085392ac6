package watch

import (
	"runtime"

	"keywatch/kv"
)

// passEvents is about how many events the dispatcher looks at before it hands
// over what it found and lets others have the lock.
const passEvents = 1024

// handOverTurn is how many watchers are told before other goroutines, writers
// for one, may have the processor.
const handOverTurn = 128

// A dispatcher is how far the walk along the ring has come: always between two
// revisions. It belongs to the holder of the hub's lock.
type dispatcher struct {
	gen  uint32
	next uint64
	at   kv.Position
	// touched are the watchers that this pass has found something for.
	touched []touch
}

// A touch is what a pass has found for one watcher. The watcher has its place
// among them, counted from 1.
type touch struct {
	w *Watcher
	l *letter
}

// find notes that w matches the event that r names.
func (d *dispatcher) find(w *Watcher, r ref) {
	if w.touched == 0 {
		d.touched = append(d.touched, touch{w, newLetter()})
		w.touched = int32(len(d.touched))
	}
	l := d.touched[w.touched-1].l
	l.refs = append(l.refs, r)
}

// forget drops what was found; what was not handed over is of no use.
func (d *dispatcher) forget() {
	for i := range d.touched {
		t := &d.touched[i]
		t.w.touched = 0
		if t.l != nil {
			t.l.free()
		}
		*t = touch{}
	}
	d.touched = d.touched[:0]
}

// dispatch walks along the ring until the hub is closed.
func (h *Hub) dispatch() {
	defer close(h.done)
	for {
		select {
		case <-h.stop:
			return
		case <-h.wake:
		}
		for more := true; more; {
			select {
			case <-h.stop:
				return
			default:
				more = h.pass()
				more = h.sweepLate() || more
			}
		}
	}
}

// pass looks at the next events and leaves references to them with the watchers
// that they match. It returns whether there is more.
func (h *Hub) pass() (more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := &h.mu.dispatcher
	m := h.ring.mark()
	if d.gen != m.gen || d.next < m.tail {
		h.passOverLocked(m)
		return false
	}
	next, at := d.next, d.at
	for n := 0; next < m.next; n++ {
		rec := h.ring.record(next)
		if rec == nil {
			h.passOverLocked(h.ring.mark())
			return false
		}
		h.mu.index.match(rec.Key, func(w *Watcher) {
			d.find(w, ref{seq: rec.seq, rev: rec.Entry.Mod})
		})
		next++
		if rec.Last {
			at.Rev = rec.Entry.Mod
			if n >= passEvents {
				break
			}
		}
	}
	if next == m.next {
		at = m.at // revisions without an event may be the last
	}
	d.next, d.at = next, at
	h.handOverLocked()
	h.dispatched.Store(&at)
	return next < m.next
}

// handOverLocked puts what was found into the mailboxes.
func (h *Hub) handOverLocked() {
	d, most := &h.mu.dispatcher, h.mailbox()
	for i := range d.touched {
		t := &d.touched[i]
		t.l.refs = faultRefs(t.l.refs)
		if t.w.mail.deliver(&h.lagging, t.l, most) {
			t.w.wake()
		}
		t.l = nil
		if i%handOverTurn == handOverTurn-1 {
			runtime.Gosched()
		}
	}
	d.forget()
}

// mailbox returns how many references may wait for one watcher: fewer the more
// watchers there are, so that those who do not read hold a bounded amount of memory
// however many they are.
func (h *Hub) mailbox() int {
	return min(h.opts.Mailbox, max(fewRefs, h.opts.Mail/max(1, int(h.open.Load()))))
}

// passOverLocked leaves all watchers to themselves, from where the last pass
// ended: history broke, or the ring has moved on.
func (h *Hub) passOverLocked(m *mark) {
	d := &h.mu.dispatcher
	d.forget()
	from := cursor{d.next, d.at.Rev}
	h.eachLocked(func(w *Watcher) {
		w.mail.passOver(&h.lagging, from, m.next)
		w.wake()
	})
	h.skipLocked(m)
}

// skipLocked continues from m.
func (h *Hub) skipLocked(m *mark) {
	d := &h.mu.dispatcher
	d.gen, d.next, d.at = m.gen, m.next, m.at
	at := m.at
	h.dispatched.Store(&at)
}
