package watch

import (
	"sync"

	"keywatch/kv"
)

// maxMail is the default of Options.Mailbox, and about how many references a
// watcher takes from the ring at once.
const maxMail = 512

// A ref names an event in the ring. It keeps nothing alive.
type ref struct {
	seq     uint64
	rev     kv.Rev
	skipped int
}

// A cursor is a place in the ring: the watcher got everything that it matches
// up to rev, and the events from seq on are those it has not looked at. Events
// at or below rev may follow seq.
type cursor struct {
	seq uint64
	rev kv.Rev
}

// A mailbox is where the dispatcher leaves references for one watcher. It
// begins behind, which means that the watcher reads the ring on its own and the
// dispatcher only notes what it passed over. An idle one is empty.
type mailbox struct {
	// waker is told when there is something to look at.
	waker Waker
	mu    struct {
		sync.Mutex
		// letter is what waits; never nil while behind.
		letter *letter
		behind bool
		closed bool
	}
}

// A letter is what a mailbox holds.
type letter struct {
	// refs name whole revisions. The watcher may have come beyond the first of
	// them on its own.
	refs []ref
	// missed is the number after the newest event that the dispatcher passed
	// over while the watcher was behind, and from where the watcher has to begin
	// then.
	missed uint64
	from   cursor
	// swept says that the watcher, which is behind, was brought up to from by the
	// shared catch-up, and that refs were found for it on the way.
	swept bool
	// final is the last message, once the watch is ended from outside.
	final *Message
	lag   lag
}

var letters = sync.Pool{New: func() any { return new(letter) }}

func newLetter() *letter { return letters.Get().(*letter) }

// free gives up l, but not a large buffer for others to keep.
func (l *letter) free() {
	refs := l.refs[:0]
	if cap(refs) > keepCap {
		refs = nil
	}
	*l = letter{refs: refs}
	letters.Put(l)
}

// init makes the mailbox of a watcher that is about to begin.
func (b *mailbox) init(waker Waker) {
	b.waker = waker
	b.mu.behind, b.mu.letter = true, newLetter()
}

// deliver leaves l, which holds references to whole revisions, and takes it
// over. It is the dispatcher's, who has to wake the watcher then if told so.
func (b *mailbox) deliver(g *lagging, l *letter, most int) (wake bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := b.mu.letter
	switch {
	case len(l.refs) == 0:
	case b.mu.behind:
		held.missed = l.refs[len(l.refs)-1].seq + 1
	case held == nil && len(l.refs) <= most:
		b.mu.letter = l
		return true
	case held != nil && len(held.refs)+len(l.refs) <= most:
		held.refs = append(held.refs, l.refs...)
		wake = true
	default:
		b.fallBehindLocked(g, cursor{l.refs[0].seq, l.refs[0].rev - 1})
		wake = true
	}
	l.free()
	return wake
}

// passOver says that the dispatcher delivered everything up to at and continues
// from next without looking at what is between.
func (b *mailbox) passOver(g *lagging, at cursor, next uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.behind {
		b.fallBehindLocked(g, at)
	}
	b.mu.letter.missed = max(b.mu.letter.missed, next)
}

// fallBehindLocked leaves the watcher to itself, from the first reference that
// waits, else from at.
func (b *mailbox) fallBehindLocked(g *lagging, at cursor) {
	l := b.letterLocked()
	if len(l.refs) > 0 {
		at = cursor{l.refs[0].seq, l.refs[0].rev - 1}
	}
	b.beginAtLocked(g, at)
}

// beginAtLocked has the watcher read the ring from at.
func (b *mailbox) beginAtLocked(g *lagging, at cursor) {
	l := b.letterLocked()
	b.mu.behind, l.from, l.refs = true, at, nil
	if !b.mu.closed {
		g.note(l, at.seq)
	}
}

func (b *mailbox) letterLocked() *letter {
	if b.mu.letter == nil {
		b.mu.letter = newLetter()
	}
	return b.mu.letter
}

// moved says how far the watcher, which is behind, has come on its own.
func (b *mailbox) moved(g *lagging, at cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.behind {
		return
	}
	b.mu.letter.from = at
	if !b.mu.closed {
		g.note(b.mu.letter, at.seq)
	}
}

// fallBehind is for the watcher itself, which knows where it has to begin.
func (b *mailbox) fallBehind(g *lagging, at cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beginAtLocked(g, at)
}

// catchUp ends being behind for a watcher that has read the ring up to at. It
// returns false if the dispatcher has passed over more since.
func (b *mailbox) catchUp(g *lagging, at cursor) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.mu.letter
	if l.missed > at.seq {
		return false
	}
	g.forget(l)
	if b.mu.behind = false; l.final == nil {
		b.mu.letter = nil
		l.free()
	}
	return true
}

// take returns what waits, nil for nothing; it is the caller's then. behind
// tells that the watcher has to read the ring from from instead.
func (b *mailbox) take() (l *letter, behind bool, from cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch held := b.mu.letter; {
	case b.mu.behind:
		return nil, true, held.from
	case held == nil || held.final != nil: // the last message goes before all others
		return nil, false, cursor{}
	default:
		b.mu.letter = nil
		return held, false, cursor{}
	}
}

// idle reports whether nothing waits and nothing was passed over.
func (b *mailbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.mu.behind && (b.mu.letter == nil || len(b.mu.letter.refs) == 0)
}

// end sets the last message, unless one was set before.
func (b *mailbox) end(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.letterLocked(); l.final == nil {
		l.final = &m
	}
}

// close returns false if that was called before.
func (b *mailbox) close(g *lagging) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := !b.mu.closed
	if b.mu.closed = true; b.mu.letter != nil {
		g.forget(b.mu.letter)
	}
	return first
}

// state returns the last message, nil if there is none yet, and whether the
// watch was closed.
func (b *mailbox) state() (final *Message, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.letter != nil {
		final = b.mu.letter.final
	}
	return final, b.mu.closed
}
