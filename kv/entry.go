package kv

import "sync/atomic"

// An Entry is one version of a key: immutable once published, and safe for
// concurrent use. A key that was deleted has an entry too, its tombstone,
// until the tombstone's window has passed.
type Entry struct {
	// prev is the version before this one, kept while a reader may need it.
	prev atomic.Pointer[Entry]
	// Mod is the revision of this change; Create that of the key's creation.
	Mod Rev
	// size is the length of what is behind the entry, or far from it: see data.
	size    int
	ordinal uint32
	kind    entryKind
	// tier is where the value is, or lay before it was read for one reader.
	tier Tier
	// cold means that the data is what is left of the value, cached that a reference
	// into a segment stands behind the value; never both.
	cold, cached bool

	Create Rev
	// Version is 1 at creation and grows by one with each change, a deletion
	// included.
	Version uint64
	// end is when and why the key ends on its own; nil if it does not.
	end *end
}

// An end says what ends a key on its own. Most keys have none.
type end struct {
	// deadline is a log time; 0 is none.
	deadline int64
	// lease is what the key is attached to; nil for none. Of it only the name may be
	// read without the apply lock.
	lease *lease
}

// newEnd returns an end, nil if there is nothing to say.
func newEnd(deadline int64, l *lease) *end {
	if deadline == 0 && l == nil {
		return nil
	}
	return &end{deadline, l}
}

type entryKind uint8

const (
	kindPut entryKind = iota
	kindDeleted
	kindExpired
	kindLease
)

// Value returns the value's bytes. It shares memory with the entry. It panics if
// the entry is cold: a caller that may meet such entries resolves them first.
func (e *Entry) Value() string {
	if e.cold {
		panic("kv: the value of a cold entry was not resolved")
	}
	if e.cached {
		return e.data()[:e.cachedSize()]
	}
	return e.data()
}

// Deadline returns the log time, in milliseconds, after which the key is deleted;
// 0 is never. Of a tombstone it is the log time of the deletion.
func (e *Entry) Deadline() int64 {
	if e.end == nil {
		return 0
	}
	return e.end.deadline
}

// lease returns what the key is attached to, nil for none.
func (e *Entry) lease() *lease {
	if e.end == nil {
		return nil
	}
	return e.end.lease
}

// Lease returns the lease that the key is attached to, the zero LeaseID if none.
func (e *Entry) Lease() LeaseID {
	if l := e.lease(); l != nil {
		return l.id
	}
	return LeaseID{}
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

// Bare returns e without its value, deadline and lease: what its numbers alone tell.
func (e *Entry) Bare() *Entry {
	return &Entry{Mod: e.Mod, Create: e.Create, Version: e.Version, kind: e.kind}
}

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
	at := e.Deadline()
	if at == 0 {
		return 0
	}
	return max(1, at-now)
}

// locator returns where the version is recorded once it is durable.
func (e *Entry) locator() Locator {
	if e.inSegment() {
		return e.recorded()
	}
	return Locator{e.Mod, e.ordinal}
}
