package watch

import (
	"context"
	"time"

	"keywatch/kv"
)

// A Scratch holds what Poll returns, so that idle watchers need not. The zero
// value is ready. One is enough for many watchers, one at a time.
type Scratch struct {
	out []Message
}

// Next waits until there is something to tell and returns it: one message or
// more, never part of a revision's. The slice is valid until the next call,
// what it holds for as long as one likes. After the last message, which is Bye
// or Denied, and after Close, it fails with ErrClosed; when ctx ends, with
// ctx's error, and may be called again. It is not for watches with a Waker.
func (w *Watcher) Next(ctx context.Context) ([]Message, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	b := w.mail.waker.(*sleeper)
	s := &b.own
	s.empty(keepCap)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		again, err := w.look(s, w.hub.now())
		if err != nil || len(s.out) > 0 {
			return s.out, err
		}
		if err := b.wait(ctx, time.Duration(again-w.hub.now())); err != nil {
			return nil, err
		}
	}
}

// wait waits for a token, at most for d.
func (b *sleeper) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-b.wake:
	case <-timer.C:
	case <-b.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Poll is Next for those who must not wait: it returns what there is to tell,
// after a bounded piece of work. Without messages, again is when to ask again,
// even if the watch's Waker is not called before; it is not after now if there
// is more to do at once. The messages belong to s: they are valid until s is
// used again. It fails with ErrClosed as Next does.
func (w *Watcher) Poll(s *Scratch, now time.Time) (messages []Message, again time.Time, err error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	s.empty(2 * maxMail)
	at, err := w.look(s, int64(now.Sub(w.hub.began)))
	return s.out, w.hub.began.Add(time.Duration(at)), err
}

// empty makes room again, and gives up more of it than keep.
func (s *Scratch) empty(keep int) {
	clear(s.out)
	if s.out = s.out[:0]; cap(s.out) > keep {
		s.out = nil
	}
}

// look does a bounded piece of work, which may add to what s returns. If it does
// not, again is when there will be more to do.
func (w *Watcher) look(s *Scratch, now int64) (again int64, err error) {
	final, closed := w.mail.state()
	if closed || w.phase == ended {
		return now, ErrClosed
	}
	if final != nil {
		w.finish(s, *final)
	} else {
		w.step(s, now)
	}
	if len(s.out) == 0 {
		if again = w.due(now); again > now || w.busy(now) {
			return again, nil
		}
		w.tellProgress(s)
	}
	w.count(s, now)
	return now, nil
}

// busy reports whether there is something to do at once, interval or not.
func (w *Watcher) busy(now int64) bool {
	return w.progress != nil && len(w.progress.refs) > 0 || w.phase == restarting || w.phase == reading ||
		w.phase == catchingUp && w.hold(now) == 0
}

// due returns when there is something to do, now at the earliest: at once, when
// the interval is over, or when it is time for a Progress.
func (w *Watcher) due(now int64) int64 {
	if w.busy(now) {
		return now
	}
	due := now + int64(Never)
	if w.heartbeat > 0 {
		due = w.sent + int64(w.heartbeat)*int64(time.Millisecond)
	}
	if hold := w.hold(now); hold > 0 {
		due = min(due, now+hold)
	}
	return max(due, now)
}

// hold returns how long the next flush has to wait, in nanoseconds.
func (w *Watcher) hold(now int64) int64 {
	x := w.extra
	if x == nil || x.interval == 0 || x.flushed == 0 || w.progress != nil && w.progress.syncing {
		return 0
	}
	return max(0, x.flushed+int64(x.interval)-now)
}

// tellProgress tells how far the watcher has come, if it has missed nothing up to
// there.
func (w *Watcher) tellProgress(s *Scratch) {
	at := w.hub.dispatched.Load()
	if w.phase == following && at.Epoch == w.epoch && w.mail.idle() {
		w.rev = max(w.rev, at.Rev)
	}
	s.out = faultSaid(w, append(s.out, positioned(Progress, w.position())))
}

// count notes what is returned.
func (w *Watcher) count(s *Scratch, now int64) {
	w.sent = now
	changes := 0
	timed := w.isLive()
	for i := range s.out {
		m := &s.out[i]
		if m.Entry == nil {
			continue
		}
		changes++
		if timed {
			at := kv.Position{Epoch: w.epoch, Rev: m.Entry.Mod}
			w.hub.deliveries.delivered(at, w.hub.now)
			w.hub.traces.delivered(at)
		}
	}
	if changes == 0 {
		return
	}
	w.hub.delivered.Add(uint64(changes))
	if w.extra != nil && (w.phase == following || w.phase == catchingUp) {
		w.extra.flushed = now
	}
}

// isLive reports whether what is returned now goes out as soon as it can.
func (w *Watcher) isLive() bool {
	if w.extra != nil && w.extra.interval > 0 {
		return false
	}
	return w.phase == following || w.phase == catchingUp && w.progress != nil && !w.progress.syncing
}

// Heavy reports whether the next Poll may read much of the state.
func (w *Watcher) Heavy() bool {
	w.turn.Lock()
	defer w.turn.Unlock()
	return w.phase == restarting || w.phase == reading
}
