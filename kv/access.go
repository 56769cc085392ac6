package kv

import "sync/atomic"

// An access is what the eviction policy knows of one key, in one word, whether
// or not its value is in memory: how often it was read of late, in which list it
// is, and when it last left the first one. Readers count without a lock; all
// else is changed by the holder of residents' lock.
type access struct{ atomic.Uint32 }

const (
	accessReads  = 3      // mask of the reads, up to 3
	accessPlace  = 3 << 2 // mask of the list
	accessProven = 1 << 4 // the key was in the main list when it was written to
	accessGhost  = 1 << 5 // the stamp counts
	accessIdle   = 1 << 6 // the key was neither read nor written since it was set
	stampShift   = 7
	stampMask    = 1<<(32-stampShift) - 1
)

// A place is the list that a key is in.
type place uint32

const (
	placeNone place = iota
	placeSmall
	placeMain
)

func (a *access) place() place { return place(a.Load() & accessPlace >> 2) }

func (a *access) reads() uint32 { return a.Load() & accessReads }

// hot reports whether the key was read again and again of late.
func (a *access) hot() bool { return a.Load()&(accessReads|accessIdle) == accessReads }

// touch counts a read.
func (a *access) touch() {
	for {
		v := a.Load()
		if v&(accessReads|accessIdle) == accessReads {
			return
		}
		if a.CompareAndSwap(v, v&^accessIdle&^accessReads|min(v&accessReads+1, accessReads)) {
			return
		}
	}
}

// change replaces the bits of mask.
func (a *access) change(mask, bits uint32) {
	for {
		v := a.Load()
		if a.CompareAndSwap(v, v&^mask|bits) {
			return
		}
	}
}

func (a *access) setPlace(p place) { a.change(accessPlace, uint32(p)<<2) }

// forget takes one read off the count, or all.
func (a *access) forget(all bool) {
	for {
		v := a.Load()
		n := v & accessReads
		if n == 0 {
			return
		}
		if n--; all {
			n = 0
		}
		if a.CompareAndSwap(v, v&^accessReads|n) {
			return
		}
	}
}

// stamp notes that the key was evicted as the n-th from the small list.
func (a *access) stamp(n uint32) {
	a.change(^uint32(accessReads), accessGhost|n&stampMask<<stampShift)
}

// ghost reports whether at most window keys were evicted from the small list
// after this one; n is how many have been in all.
func (a *access) ghost(n uint32, window int) bool {
	v := a.Load()
	return v&accessGhost != 0 && int((n-v>>stampShift)&stampMask) <= window
}
