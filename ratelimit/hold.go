package ratelimit

import (
	"context"
	"math"
	"slices"
)

// A Hold is what one connection, socket or stream makes the server hold, for one
// caller. Its methods are safe for concurrent use, but it must not be copied once it
// is in use. The zero Hold charges no account.
type Hold struct {
	account *account
	// n is what is held by kind, and closed whether Close was called; both are guarded
	// by the budget's lock.
	n      [kinds]uint32
	closed bool
}

// maxHold is the most that one Hold takes of a kind, in bytes.
const maxHold = math.MaxUint32

// Grow charges n more bytes. It fails with a *FullError, at once. Once the Hold is
// closed nothing is charged any more.
func (h *Hold) Grow(k Kind, n int64) error {
	b := h.budget()
	if b == nil || n <= 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return h.growLocked(b, k, n)
}

// Try is Grow that reports whether there was room, and counts no refusal: the caller will ask
// again.
func (h *Hold) Try(k Kind, n int64) bool {
	b := h.budget()
	if b == nil || n <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.closed {
		return true
	}
	if b.fullLocked(h.account, k, n) != nil || int64(h.n[k])+n > maxHold {
		return false
	}
	b.takeLocked(h, k, n)
	return true
}

func (h *Hold) growLocked(b *Budget, k Kind, n int64) error {
	if h.closed {
		return nil
	}
	err := b.fullLocked(h.account, k, n)
	if full, ok := err.(*FullError); ok {
		full.Never = !k.lasts() && b.neverLocked(h, k, n) != nil
	}
	if err == nil && int64(h.n[k])+n > maxHold {
		err = &FullError{Kind: k, Limit: maxHold, Caller: true}
	}
	if err != nil {
		b.refuse(k)
		return err
	}
	b.takeLocked(h, k, n)
	return nil
}

// Force charges n more bytes whether there is room or not, for what was promised
// before its size was known.
func (h *Hold) Force(k Kind, n int64) {
	b := h.budget()
	if b == nil || n <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !h.closed {
		b.takeLocked(h, k, min(n, maxHold-int64(h.n[k])))
	}
}

// Wait is Grow that waits for room, behind those who came before, until ctx ends. It
// fails with a *FullError then.
func (h *Hold) Wait(ctx context.Context, k Kind, n int64) error {
	b := h.budget()
	if b == nil || n <= 0 {
		return nil
	}
	w, err := h.queue(b, k, n, ctx.Err() == nil)
	if w == nil {
		return err
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
	}
	return h.giveUp(b, w)
}

// queue takes a place among those who wait for room. It returns nil if there is room
// at once or, with what Grow fails with, if a wait would not help or wait is false.
func (h *Hold) queue(b *Budget, k Kind, n int64, wait bool) (*waiter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := len(b.mu.queue) == 0 && b.fullLocked(h.account, k, n) == nil
	if room || !wait || h.closed || b.neverLocked(h, k, n) != nil {
		return nil, h.growLocked(b, k, n)
	}
	w := &waiter{hold: h, kind: k, n: n, done: make(chan struct{})}
	b.mu.queue = append(b.mu.queue, w)
	b.admitLocked() // those before may wait for room of their own
	b.press()
	return w, nil
}

// giveUp ends a wait, unless there was room at the last moment.
func (h *Hold) giveUp(b *Budget, w *waiter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.mu.queue, w)
	if i < 0 {
		return nil
	}
	b.mu.queue = slices.Delete(b.mu.queue, i, i+1)
	err := h.growLocked(b, w.kind, w.n)
	b.admitLocked() // it may have been in the way
	return err
}

// Shrink gives n bytes back, or as many as are held.
func (h *Hold) Shrink(k Kind, n int64) {
	b := h.budget()
	if b == nil || n <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takeLocked(h, k, -min(n, int64(h.n[k])))
	b.admitLocked()
}

// Set charges or gives back what makes n bytes of it. It fails as Grow does, and then
// changes nothing.
func (h *Hold) Set(k Kind, n int64) error {
	b := h.budget()
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	more := n - int64(h.n[k])
	if more > 0 {
		return h.growLocked(b, k, more)
	}
	if more < 0 && !h.closed {
		b.takeLocked(h, k, more)
		b.admitLocked()
	}
	return nil
}

// Correct is Set whether there is room or not.
func (h *Hold) Correct(k Kind, n int64) {
	b := h.budget()
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !h.closed {
		b.takeLocked(h, k, min(n, maxHold)-int64(h.n[k]))
		b.admitLocked()
	}
}

// Held returns how many bytes of a kind are held.
func (h *Hold) Held(k Kind) int64 {
	b := h.budget()
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(h.n[k])
}

// Close gives everything back. It may be called twice; the Hold is of no use
// afterwards. No Wait may be under way.
func (h *Hold) Close() {
	b := h.budget()
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.closed {
		return
	}
	for k, n := range h.n {
		b.takeLocked(h, Kind(k), -int64(n))
	}
	h.closed = true
	a := h.account
	if a.holds--; a.name != "" && a.holds == 0 {
		delete(b.mu.callers, a.name)
	}
	b.admitLocked()
}

func (h *Hold) budget() *Budget {
	if h.account == nil {
		return nil
	}
	return h.account.budget
}
