package watch

import (
	"math/bits"
	"sync/atomic"

	"keywatch/kv"
)

const (
	// recordCost is what an event costs beside its key and value, in bytes: the
	// record, the entry and the slot in the ring.
	recordCost = 160
	// bodyCost is what an encoded event has beside its key and value.
	bodyCost = 160
	// maxBodies bounds the encoded events kept for sharing, in bytes.
	maxBodies = 8 << 20
	minSlots  = 16
)

// A record is one event at its place in the ring.
type record struct {
	kv.Event
	seq uint64
	// bodies are the encoded forms. The first who needs one leaves once there, the
	// second makes it. When the record leaves the window of encoded events they
	// become sealed.
	bodies [bodyForms]atomic.Pointer[[]byte]
}

// sealed stands in record.bodies where nothing may be kept any more, once where
// nothing was kept yet.
var sealed, once = new([]byte), new([]byte)

func (r *record) cost() int64 { return int64(recordCost + len(r.Key) + r.Entry.Size()) }

func (r *record) bodySize() int64 { return int64(bodyCost + len(r.Key) + r.Entry.Size()) }

// A mark says what the ring held at one moment, between revisions. Events are
// numbered by seq for the life of the ring.
type mark struct {
	// gen grows with each break in history, which takes a number too.
	gen uint32
	at  kv.Position
	// The ring held the events from tail up to, not including, next.
	tail, next uint64
	// floor is the newest revision of which an event is gone: what happened
	// after any position at or above it is complete.
	floor kv.Rev
	bytes int64
	// published counts the events there ever were.
	published uint64
}

// A ring is the recent history: a bounded sequence of events with one writer
// and any number of readers, who take no lock. A reader that falls behind finds
// its record gone; it never holds the writer up nor keeps anything alive.
type ring struct {
	slots []atomic.Pointer[record]
	mask  uint64
	max   int64
	now   atomic.Pointer[mark]
	// floor is that of the next mark. It rises before a record goes, so that
	// a reader that finds a record gone finds the floor above it.
	floor atomic.Uint64

	// The rest belongs to the writer. Records before coded are sealed; those
	// from it on have codedBytes of encoded forms at most.
	m          mark
	coded      uint64
	codedBytes int64
	codedMax   int64
}

// newRing returns a ring for about maxBytes of events.
func newRing(maxBytes int64) *ring {
	n := uint64(1) << bits.Len64(uint64(max(minSlots, maxBytes/recordCost))-1)
	r := &ring{
		slots: make([]atomic.Pointer[record], n), mask: n - 1, max: maxBytes,
		codedMax: min(maxBodies, maxBytes/4),
	}
	r.now.Store(&mark{})
	return r
}

// append adds whole revisions; at is the position after them.
func (r *ring) append(events []kv.Event, at kv.Position) {
	if at.Epoch != r.m.at.Epoch && len(events) == 0 {
		r.reset(at)
	} else if at.Epoch != r.m.at.Epoch {
		r.reset(kv.Position{Epoch: at.Epoch, Rev: events[0].Entry.Mod - 1})
	}
	for i := range events {
		rec := &record{Event: events[i], seq: r.m.next}
		r.makeRoom(rec.cost())
		r.slots[rec.seq&r.mask].Store(rec)
		r.m.next++
		r.m.published++
		r.m.bytes += rec.cost()
		r.codedBytes += rec.bodySize()
	}
	for r.codedBytes > r.codedMax && r.coded < r.m.next {
		r.seal()
	}
	r.m.at = at
	r.publish()
}

// makeRoom drops the oldest records until one that costs n fits.
func (r *ring) makeRoom(n int64) {
	for r.m.tail < r.m.next && (r.m.bytes+n > r.max || r.m.next-r.m.tail > r.mask) {
		if r.coded == r.m.tail {
			r.seal()
		}
		slot := &r.slots[r.m.tail&r.mask]
		rec := slot.Load()
		r.raise(rec.Entry.Mod)
		slot.Store(nil)
		r.m.bytes -= rec.cost()
		r.m.tail++
	}
}

func (r *ring) raise(floor kv.Rev) {
	r.m.floor = floor
	r.floor.Store(uint64(floor))
}

// seal drops the encoded forms of the oldest record that may have some.
func (r *ring) seal() {
	rec := r.slots[r.coded&r.mask].Load()
	for i := range rec.bodies {
		rec.bodies[i].Store(sealed)
	}
	r.codedBytes -= rec.bodySize()
	r.coded++
}

// reset forgets all events: history is known from at on.
func (r *ring) reset(at kv.Position) {
	r.raise(at.Rev)
	for ; r.m.tail < r.m.next; r.m.tail++ {
		r.slots[r.m.tail&r.mask].Store(nil)
	}
	r.m.gen++
	r.m.next++
	r.m.tail, r.coded = r.m.next, r.m.next
	r.m.at, r.m.bytes, r.codedBytes = at, 0, 0
	r.publish()
}

func (r *ring) publish() {
	m := r.m
	r.now.Store(&m)
}

// mark returns what the ring holds now. It is safe for concurrent use, as are
// record and after.
func (r *ring) mark() *mark { return r.now.Load() }

// record returns the event numbered seq, which must be below a mark's next, or
// nil if it is gone.
func (r *ring) record(seq uint64) *record {
	rec := r.slots[seq&r.mask].Load()
	if rec == nil || rec.seq != seq {
		return nil
	}
	return rec
}

// after returns the number of the first event after rev, which is m.next if
// there is none; ok is false if events after rev are gone.
func (r *ring) after(m *mark, rev kv.Rev) (seq uint64, ok bool) {
	lo, hi := m.tail, m.next
	for lo < hi {
		mid := lo + (hi-lo)/2
		if rec := r.record(mid); rec == nil || rec.Entry.Mod <= rev {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, r.mark().gen == m.gen && uint64(rev) >= r.floor.Load()
}
