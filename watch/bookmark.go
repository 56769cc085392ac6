package watch

import "keywatch/kv"

// Dispatched returns the position up to which everything has been left with the
// watchers that it is for, and their Wakers told. A watcher that follows, and
// that was not woken since its last Poll returned nothing, has missed nothing up
// to there.
func (h *Hub) Dispatched() kv.Position { return *h.dispatched.Load() }

// Bookmark returns the Progress for all watches that have missed nothing up to
// at.
func Bookmark(at kv.Position) Message { return positioned(Progress, at) }

// Idle reports whether the watcher follows and nothing waits for it, even where
// it holds back to keep its interval.
func (w *Watcher) Idle() bool {
	w.turn.Lock()
	defer w.turn.Unlock()
	return w.phase == following && w.progress == nil && w.mail.idle()
}
