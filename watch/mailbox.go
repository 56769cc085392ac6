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
// begins behind, which means that the watcher reads the ring by itself and the
// dispatcher only notes what it passed over.
type mailbox struct {
	// waker is told, of owner, when there is something to look at.
	waker Waker
	owner *Watcher

	mu struct {
		sync.Mutex
		behind bool
		refs   []ref
		// missed is the number after the newest event that the dispatcher passed
		// over while behind was set.
		missed uint64
		// from is, while behind, where the watcher has to begin. While not, only
		// its revision counts: up to there the watcher needs nothing.
		from cursor
		// final is the last message, once the watch is ended from outside.
		final *Message
	}
}

func (b *mailbox) ring() { b.waker.Wake(b.owner) }

// deliver leaves references to whole revisions. It is the dispatcher's.
func (b *mailbox) deliver(refs []ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.behind {
		b.mu.missed = refs[len(refs)-1].seq + 1
		return
	}
	for len(refs) > 0 && refs[0].rev <= b.mu.from.rev {
		refs = refs[1:]
	}
	if len(refs) == 0 {
		return
	}
	if len(b.mu.refs)+len(refs) > b.owner.hub.opts.Mailbox {
		b.fallBehindLocked(cursor{refs[0].seq, refs[0].rev - 1})
	} else {
		b.mu.refs = append(b.mu.refs, refs...)
	}
	b.ring()
}

// passOver says that the dispatcher delivered everything up to at and goes on
// from next without looking at what lies between.
func (b *mailbox) passOver(at cursor, next uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.missed = max(b.mu.missed, next)
	if !b.mu.behind {
		b.fallBehindLocked(at)
	}
	b.ring()
}

// fallBehindLocked leaves the watcher to itself, from the first reference that
// waits, else from at.
func (b *mailbox) fallBehindLocked(at cursor) {
	if len(b.mu.refs) > 0 {
		at = cursor{b.mu.refs[0].seq, b.mu.refs[0].rev - 1}
	}
	at.rev = max(at.rev, b.mu.from.rev)
	b.mu.behind, b.mu.from, b.mu.refs = true, at, nil
}

// moved says how far the watcher, which is behind, has come by itself.
func (b *mailbox) moved(at cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.behind {
		b.mu.from = at
	}
}

// fallBehind is for the watcher itself, which knows where it has to begin.
func (b *mailbox) fallBehind() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.behind, b.mu.refs = true, nil
}

// catchUp ends being behind for a watcher that has read the ring up to at. It
// returns false if the dispatcher has passed over more since.
func (b *mailbox) catchUp(at cursor) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.missed > at.seq {
		return false
	}
	b.mu.behind, b.mu.from = false, cursor{rev: at.rev}
	return true
}

// take returns what waits. behind tells that the watcher has to read the ring
// from from.
func (b *mailbox) take() (refs []ref, behind bool, from cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	refs = b.mu.refs
	b.mu.refs = nil
	return refs, b.mu.behind, b.mu.from
}

// idle reports whether nothing waits and nothing was passed over.
func (b *mailbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.mu.behind && len(b.mu.refs) == 0
}

// waiting returns the number of the oldest event that the watcher was not given
// yet, as far as the mailbox knows; any is false if it knows of none.
func (b *mailbox) waiting() (seq uint64, behind, any bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.behind {
		return b.mu.from.seq, true, true
	}
	if len(b.mu.refs) > 0 {
		return b.mu.refs[0].seq, false, true
	}
	return 0, false, false
}

// end sets the last message, unless one was set before.
func (b *mailbox) end(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.final == nil {
		b.mu.final = &m
	}
	b.ring()
}

func (b *mailbox) final() *Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.final
}
