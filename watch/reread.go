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
// changed since r.since or, where that is not known, to begin anew.
func (w *Watcher) openView() {
	r, m := w.reread, w.hub.ring.mark()
	least := kv.Position{Epoch: m.at.Epoch, Rev: m.floor}
	if r.since.Epoch == least.Epoch {
		least.Rev = max(least.Rev, r.since.Rev)
	}
	view, err := w.hub.views.acquire(least)
	if err != nil {
		w.finish(Goodbye(CodeMemoryFull))
		return
	}
	r.view = view
	at := view.Position()
	known := !r.fresh && r.since.Epoch == at.Epoch && r.since.Rev <= at.Rev && r.since.Rev >= view.Floor()
	r.fresh = !known
	var changes iter.Seq2[string, *kv.Entry]
	switch {
	case known && r.since == at:
		w.viewRead()
		return
	case known:
		w.hub.resyncs.Add(1)
		w.say.out = append(w.say.out, Message{Kind: Resync})
		changes = w.filter.changes(view.Snapshot, r.since.Rev)
	default:
		w.hub.resets.Add(1)
		w.say.out = faultSaid(w, append(w.say.out, positioned(Reset, kv.Position{Epoch: at.Epoch})))
		changes = w.filter.state(view.Snapshot)
	}
	r.pull, r.stopPull = iter.Pull2(changes)
	w.phase = reading
	w.readView()
}

// readView sends the next piece of what the snapshot holds. After the last it
// goes on along the ring, from the snapshot's revision.
func (w *Watcher) readView() {
	r := w.reread
	now := r.view.Time()
	if w.hub.opts.Now != nil {
		now = max(now, w.hub.opts.Now())
	}
	start, size, more := len(w.say.out), 0, true
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
			clear(w.say.out[start:])
			w.say.out = w.say.out[:0]
			w.unreachable(err)
			return
		}
		m := Message{Kind: Put, Key: key, Entry: e, Time: now, form: w.form}
		if e.Deleted() {
			m.Kind = Delete
		}
		w.say.out = faultSaid(w, append(w.say.out, m))
		size += len(key) + e.Size() + bodyCost
	}
	if r.view.Err() != nil {
		clear(w.say.out[start:])
		w.say.out = w.say.out[:0]
		w.viewLost()
		return
	}
	if !more {
		w.viewRead()
	}
}

// viewLost starts over, from nothing: part of the changes was sent.
func (w *Watcher) viewLost() {
	if w.restarts++; w.restarts > maxRestarts {
		w.finish(Goodbye(CodeMemoryFull))
		return
	}
	w.restart(kv.Position{}, true)
}

// viewRead ends the state or resync.
func (w *Watcher) viewRead() {
	at := w.reread.view.Position()
	w.dropView()
	w.restarts = 0
	w.epoch, w.cur.rev = at.Epoch, at.Rev
	w.say.out = faultSaid(w, append(w.say.out, positioned(Synced, at)))
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
	r := w.reread
	w.reread = nil
	if r == nil || r.view == nil {
		return
	}
	if r.stopPull != nil {
		r.stopPull()
	}
	w.hub.views.release(r.view)
}
