package watch

import (
	"iter"

	"keywatch/kv"
)

// openView opens a snapshot and decides what it is good for: to tell what
// changed since w.since or, where that is not known, to begin anew.
func (w *Watcher) openView() {
	m := w.hub.ring.mark()
	least := kv.Position{Epoch: m.at.Epoch, Rev: m.floor}
	if w.since.Epoch == least.Epoch {
		least.Rev = max(least.Rev, w.since.Rev)
	}
	view, err := w.hub.views.acquire(least)
	if err != nil {
		w.finish(Goodbye(CodeMemoryFull))
		return
	}
	w.view = view
	at := view.Position()
	known := !w.fresh && w.since.Epoch == at.Epoch && w.since.Rev <= at.Rev && w.since.Rev >= view.Floor()
	w.fresh = !known
	var changes iter.Seq2[string, *kv.Entry]
	switch {
	case known && w.since == at:
		w.viewRead()
		return
	case known:
		w.hub.resyncs.Add(1)
		w.out = append(w.out, Message{Kind: Resync})
		changes = w.filter.changes(view.Snapshot, w.since.Rev)
	default:
		w.hub.resets.Add(1)
		w.out = append(w.out, positioned(Reset, kv.Position{Epoch: at.Epoch}))
		changes = w.filter.state(view.Snapshot)
	}
	w.pull, w.stopPull = iter.Pull2(changes)
	w.phase = reading
	w.readView()
}

// readView sends the next piece of what the snapshot holds. After the last it
// goes on along the ring, from the snapshot's revision.
func (w *Watcher) readView() {
	start, size, more := len(w.out), 0, true
	var cold coldWaiter
	defer cold.stop()
	for size < batchBytes {
		var key string
		var e *kv.Entry
		if key, e, more = w.pull(); !more {
			break
		}
		e, err := cold.resolve(w, key, e)
		if err != nil {
			clear(w.out[start:])
			w.out = w.out[:0]
			w.unreachable(err)
			return
		}
		m := Message{Kind: Put, Key: key, Entry: e, Time: w.view.Time(), form: w.form}
		if e.Deleted() {
			m.Kind = Delete
		}
		w.out = append(w.out, m)
		size += len(key) + e.Size() + bodyCost
	}
	if w.view.Err() != nil {
		clear(w.out[start:])
		w.out = w.out[:0]
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
	at := w.view.Position()
	w.dropView()
	w.restarts = 0
	w.epoch, w.cur.rev = at.Epoch, at.Rev
	w.out = append(w.out, positioned(Synced, at))
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
	if w.view == nil {
		return
	}
	if w.stopPull != nil {
		w.stopPull()
	}
	w.hub.views.release(w.view)
	w.view, w.pull, w.stopPull = nil, nil, nil
}
