package api

import (
	"fmt"

	"keywatch/ratelimit"
)

// A Room says whether an answer may take n bytes of memory in all. It fails with a
// *ratelimit.FullError if it may not. nil is always.
type Room func(n int) error

const (
	// FreeBytes is how large a body, or an answer, may be that is not charged: the
	// charge of its connection has room for it.
	FreeBytes = 16 << 10
	// entryBytes is what the object of an entry takes beside key and value.
	entryBytes = 512
)

// Grow returns b with room for n more bytes. It asks before it allocates, and fails as
// Room does, with b as it was.
func (room Room) Grow(b []byte, n int) ([]byte, error) {
	need := len(b) + n
	if need <= cap(b) {
		return b, nil
	}
	size := max(need, 2*cap(b))
	if room != nil && size > FreeBytes {
		if err := room(size); err != nil {
			return b, err
		}
	}
	grown := make([]byte, len(b), size)
	copy(grown, b)
	return grown, nil
}

// Entry returns b with room for an entry whose value has size bytes. Values that are
// written with escapes take more than that: Took is to follow.
func (room Room) Entry(b []byte, key string, size int) ([]byte, error) {
	return room.Grow(b, entryBytes+len(key)+size+size/8)
}

// Took charges what b has grown to. It fails as Room does.
func (room Room) Took(b []byte) error {
	if room == nil || cap(b) <= FreeBytes {
		return nil
	}
	return room(cap(b))
}

// memoryFull returns the failure of what has no room in the memory that callers may make
// the server hold.
func memoryFull(err *ratelimit.FullError) *Failure {
	f := &Failure{Code: CodeClientMemoryFull, Limit: int(err.Limit), Cause: err}
	f.Detail = fmt.Sprintf("no memory for more %s: --client-memory is used up", err.Kind)
	switch {
	case err.Caller:
		f.Code = CodeCallerMemoryFull
		f.Detail = fmt.Sprintf("no memory for more %s of this caller: --client-memory-per-caller is used up", err.Kind)
	case err.Part:
		f.Detail = fmt.Sprintf("no memory for more %s: the part of --client-memory for them is used up", err.Kind)
	}
	return f
}
