package api

import (
	"time"

	"keywatch/kv"
)

// A Barrier is a read barrier that a connection on an event loop waits for. All reads that had been
// received when it began share it; what is received later needs another one, because a write may
// have been acknowledged meanwhile. The connection begins nothing behind the read that waits, so
// that answers and effects keep their order. It is not safe for concurrent use. A nil Barrier is
// not waited for, and holds for nothing.
type Barrier struct {
	barrier *kv.Barrier
	until   time.Time
	waits   bool
	left    int
}

// NewBarrier returns what a connection waits for until b is done, or until is reached. It holds for
// the next received bytes of the connection.
func NewBarrier(b *kv.Barrier, received int, until time.Time) *Barrier {
	return &Barrier{barrier: b, until: until, waits: true, left: received}
}

// Waits reports whether it is waited for.
func (b *Barrier) Waits() bool { return b != nil && b.waits }

// Until returns when it is not waited for any longer.
func (b *Barrier) Until() time.Time { return b.until }

// Look sees whether it is done, and reports whether it is still waited for. One that takes too long
// has failed.
func (b *Barrier) Look(now time.Time) (waits bool) {
	if !b.Waits() {
		return false
	}
	if !now.Before(b.until) {
		b.barrier.Finish(kv.ErrNoLeader)
	}
	done, _ := b.barrier.Done()
	b.waits = !done
	return b.waits
}

// Holds reports whether it holds for a read that begins with the next byte.
func (b *Barrier) Holds() bool { return b != nil && b.left > 0 }

// Use notes that size bytes were used.
func (b *Barrier) Use(size int) {
	if b != nil {
		b.left = max(0, b.left-size)
	}
}

// Err returns why the reads for which it holds fail, such as kv.ErrNoLeader; nil if they do not.
// It is called once it is done.
func (b *Barrier) Err() error {
	_, err := b.barrier.Done()
	return err
}
