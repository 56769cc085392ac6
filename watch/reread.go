package watch

import (
	"iter"

	"keywatch/kv"
)

// A rereading is how a watcher is brought forward by a snapshot.
type rereading struct {
	// since is the position to bring it forward from; fresh says that it holds
	// nothing yet, or nothing of use.
	since kv.Position
	fresh bool
	// view is nil until the snapshot is open.
	view     *view
	pull     func() (string, *kv.Entry, bool)
	stopPull func()
}

// openView opens a snapshot and decides what it is good for: to tell what
// changed since r.since or, where that is not known, to send the whole state.
func (w *Watcher) openView(s *Scratch) {
	r, m := w.progress.reread, w.hub.ring.mark()
	least := kv.Position{Epoch: m.at.Epoch, Rev: m.floor}
	if r.since.Epoch == least.Epoch {
		least.Rev = max(least.Rev, r.since.Rev)
	}
	view, err := w.hub.views.acquire(least)
	if err != nil {
		w.finish(s, Goodbye(CodeMemoryFull))
		return
	}
	r.view = view
	at := view.Position()
	known := !r.fresh && r.since.Epoch == at.Epoch && r.since.Rev <= at.Rev && r.since.Rev >= view.Floor()
	r.fresh = !known
	f := w.filter()
	var changes iter.Seq2[string, *kv.Entry]
	switch {
	case known && r.since == at:
		w.viewRead(s)
		return
	case known:
		w.hub.resyncs.Add(1)
		s.out = append(s.out, Message{Kind: Resync})
		changes = f.changes(view.Snapshot, r.since.Rev)
	default:
		w.hub.resets.Add(1)
		s.out = faultSaid(w, append(s.out, positioned(Reset, kv.Position{Epoch: at.Epoch})))
		changes = f.state(view.Snapshot)
	}
	r.pull, r.stopPull = iter.Pull2(changes)
	w.phase = reading
	w.readView(s)
}

// readView sends the next piece of what the snapshot holds. After the last it
// continues along the ring, from the snapshot's revision.
func (w *Watcher) readView(s *Scratch) {
	r := w.progress.reread
	now := r.view.Time()
	if w.hub.opts.Now != nil {
		now = max(now, w.hub.opts.Now())
	}
	start, size, more := len(s.out), 0, true
	var cold coldWaiter
	defer cold.stop()
	for size < batchBytes {
		var key string
		var e *kv.Entry
		if key, e, more = r.pull(); !more {
			break
		}
		e, err := cold.resolve(w, key, e)
		if err != nil {
			clear(s.out[start:])
			s.out = s.out[:0]
			w.unreachable(s, err)
			return
		}
		m := Message{Kind: Put, Key: key, Entry: e, Time: now, form: w.form}
		if e.Deleted() {
			m.Kind = Delete
		}
		s.out = faultSaid(w, append(s.out, m))
		size += len(key) + e.Size() + bodyCost
	}
	if r.view.Err() != nil {
		clear(s.out[start:])
		s.out = s.out[:0]
		w.viewLost(s)
		return
	}
	if !more {
		w.viewRead(s)
	}
}

// viewLost starts over, from nothing: part of the changes was sent.
func (w *Watcher) viewLost(s *Scratch) {
	if w.progress.restarts++; w.progress.restarts > maxRestarts {
		w.finish(s, Goodbye(CodeMemoryFull))
		return
	}
	w.restart(kv.Position{}, true)
}

// viewRead ends the state or resync.
func (w *Watcher) viewRead(s *Scratch) {
	at := w.progress.reread.view.Position()
	w.dropView()
	w.progress.restarts = 0
	w.epoch, w.rev = at.Epoch, at.Rev
	s.out = faultSaid(w, append(s.out, positioned(Synced, at)))
	m := w.hub.ring.mark()
	seq, ok := w.hub.ring.after(m, at.Rev)
	if !ok || m.at.Epoch != at.Epoch {
		w.restart(at, false)
		return
	}
	w.gen, w.phase = m.gen, catchingUp
	w.move(cursor{seq, at.Rev})
}

// dropView lets go of the snapshot, if one is held.
func (w *Watcher) dropView() {
	if w.progress == nil || w.progress.reread == nil {
		return
	}
	r := w.progress.reread
	if w.progress.reread = nil; r.view == nil {
		return
	}
	if r.stopPull != nil {
		r.stopPull()
	}
	w.hub.views.release(r.view)
}
