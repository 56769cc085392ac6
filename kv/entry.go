package kv

import "sync/atomic"

// An Entry is one version of a key: immutable once published, and safe for
// concurrent use. A key that was deleted has an entry too, its tombstone,
// until the tombstone's window has passed.
type Entry struct {
	// value is the value or, if cold is set, what is left of it: see appendCold.
	value string
	// prev is the version before this one, kept while a reader may need it.
	prev atomic.Pointer[Entry]

	// Mod is the revision of this change; Create that of the key's creation.
	Mod, Create Rev
	// Version is 1 at creation and grows by one with each change, a deletion
	// included.
	Version uint64
	// Deadline is the log time, in milliseconds, after which the key is deleted;
	// 0 is never. Of a tombstone it is the log time of the deletion.
	Deadline int64

	ordinal uint32
	kind    entryKind
	// tier is where the value lies, or lay before it was read for one reader.
	tier Tier
	// cold means that value is what is left of it, held that a reference stands
	// behind it; never both.
	cold, held bool
	// lease is what the key hangs on; nil for none. Of it only the name may be
	// read without the apply lock.
	lease *lease
}

type entryKind uint8

const (
	kindPut entryKind = iota
	kindDeleted
	kindExpired
	kindLease
)

// Value returns the value's bytes. It shares memory with the entry. It panics if
// the entry is cold: whoever may meet such entries resolves them first.
func (e *Entry) Value() string {
	if e.cold {
		panic("kv: the value of a cold entry was not resolved")
	}
	if e.held {
		return e.value[:e.heldSize()]
	}
	return e.value
}

// Lease returns the lease that the key hangs on, the zero LeaseID if none.
func (e *Entry) Lease() LeaseID {
	if e.lease == nil {
		return LeaseID{}
	}
	return e.lease.id
}

// Size returns the length of the value in bytes.
func (e *Entry) Size() int {
	if e.cold {
		return e.coldSize()
	}
	return len(e.Value())
}

// Deleted reports whether e is a tombstone.
func (e *Entry) Deleted() bool { return e.kind != kindPut }

// Cause says why a tombstone's key went: "deleted", "expired" or "lease". It is
// empty for a value.
func (e *Entry) Cause() string {
	switch e.kind {
	case kindDeleted:
		return "deleted"
	case kindExpired:
		return "expired"
	case kindLease:
		return "lease"
	}
	return ""
}

// TTL returns the milliseconds from log time now to the entry's deadline, at
// least 1; 0 means that the entry has no deadline.
func (e *Entry) TTL(now int64) int64 {
	if e.Deadline == 0 {
		return 0
	}
	return max(1, e.Deadline-now)
}

// A slot is the place of one key in the map and the index. cur is its newest
// version, published or not; durable belongs to the one checkpoint writer, the
// rest to whoever holds the apply lock.
type slot struct {
	key     string
	cur     atomic.Pointer[Entry]
	durable Locator
	// dirty is the number of the checkpoint that will write this slot.
	dirty uint32
	// access says how often the key was read of late, and in which list it is.
	access access
	// newer and older are the neighbours in that list; they belong to the holder
	// of residents' lock.
	newer, older *slot
}

// A Locator names the durable record of one version: its revision and its
// place within that revision. The zero Locator is none.
type Locator struct {
	Rev     Rev
	Ordinal uint32
}

// locator returns where the version is recorded once it is durable.
func (e *Entry) locator() Locator {
	if e.inSegment() {
		return e.recorded()
	}
	return Locator{e.Mod, e.ordinal}
}

// at returns the newest version at or before rev, nil if there is none. walked
// is true when a newer version was met: unless a snapshot holds rev, the answer
// then counts only if nothing was published meanwhile, because publishing
// unlinks.
func (s *slot) at(rev Rev) (e *Entry, walked bool) {
	e = s.cur.Load()
	for e != nil && e.Mod > rev {
		e, walked = e.prev.Load(), true
	}
	return e, walked
}
