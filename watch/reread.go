package watch

import (
	"errors"
	"iter"
	"slices"

	"keywatch/kv"
)

// A rereading is how a watcher is brought forward by a snapshot.
type rereading struct {
	// since is the position to bring it forward from; fresh says that it holds
	// nothing yet, or nothing of use.
	since kv.Position
	fresh bool
	// told is what it was told of snapshots that were lost, in order of place, and
	// epoch that of those: there it holds more than since says.
	told  []told
	epoch kv.Epoch
	// view is nil until the snapshot is open; last is the last key of it that was told,
	// if began is set.
	// gen is the ring's before it was opened.
	view     *view
	gen      uint32
	last     place
	began    bool
	pull     func() (place, *kv.Entry, bool)
	stopPull func()
}

// A told says that a watcher holds what is up to a place, and after the told before it, as
// it was at rev.
type told struct {
	to  place
	rev kv.Rev
}

// openView opens a snapshot and decides what it is good for: to go on with a state that
// another snapshot began, to tell what changed since r.since or, where that is not known,
// to send the whole state.
func (w *Watcher) openView(s *Scratch) {
	r := w.progress.reread
	m := w.hub.ring.mark()
	r.gen = m.gen
	view, err := w.hub.views.acquire(r.least(m))
	if errors.Is(err, kv.ErrStarting) {
		w.finish(s, w.hub.Farewell(CodeStarting).Message())
		return
	}
	if err != nil {
		w.finish(s, Goodbye(CodeMemoryFull))
		return
	}
	r.view = view
	at := view.Position()
	known := !r.fresh && r.since.Epoch == at.Epoch && r.since.Rev <= at.Rev && r.since.Rev >= view.Floor()
	switch {
	case r.goesOn(known):
	case known && r.since == at:
		w.viewRead(s)
		return
	case known:
		r.told = nil
		w.hub.resyncs.Add(1)
		s.out = append(s.out, Message{Kind: Resync})
	default:
		r.told, r.fresh = nil, true
		w.hub.resets.Add(1)
		s.out = faultSaid(w, append(s.out, positioned(Reset, kv.Position{Epoch: at.Epoch})))
	}
	f := w.filter()
	r.pull, r.stopPull = iter.Pull2(r.news(f.walk(view.Snapshot)))
	r.epoch = at.Epoch
	w.phase = reading
	w.readView(s)
}

// least returns the position that a snapshot must have reached.
func (r *rereading) least(m *mark) kv.Position {
	least := kv.Position{Epoch: m.at.Epoch, Rev: m.floor}
	if r.since.Epoch == least.Epoch {
		least.Rev = max(least.Rev, r.since.Rev)
	}
	for _, t := range r.told {
		if r.epoch == least.Epoch {
			least.Rev = max(least.Rev, t.rev)
		}
	}
	return least
}

// goesOn reports whether r.view knows all that happened to what was told of snapshots
// before it; known says that it does of what happened since r.since.
func (r *rereading) goesOn(known bool) bool {
	at, floor := r.view.Position(), r.view.Floor()
	return len(r.told) > 0 && r.epoch == at.Epoch && (r.fresh || known) &&
		!slices.ContainsFunc(r.told, func(t told) bool { return t.rev < floor || t.rev > at.Rev })
}

// news yields what the watcher does not hold of all that a walk yields.
func (r *rereading) news(walk iter.Seq2[place, *kv.Entry]) iter.Seq2[place, *kv.Entry] {
	rest := r.told
	return func(yield func(place, *kv.Entry) bool) {
		for p, e := range walk {
			for len(rest) > 0 && rest[0].to.before(p) {
				rest = rest[1:]
			}
			var news bool
			switch {
			case len(rest) > 0:
				news = e.Mod > rest[0].rev
			case r.fresh:
				news = !e.Deleted()
			default:
				news = e.Mod > r.since.Rev
			}
			if news && !yield(p, e) {
				return
			}
		}
	}
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
	last, began := r.last, r.began
	for size < batchBytes {
		var p place
		var e *kv.Entry
		if p, e, more = r.pull(); !more {
			break
		}
		key := p.key
		last, began = p, true
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
	r.last, r.began = last, began
	if !more {
		w.viewRead(s)
	}
}

// viewLost continues with another snapshot where the last has ended. A watcher that comes no
// further with several is sent away.
func (w *Watcher) viewLost(s *Scratch) {
	r := w.progress.reread
	next, further := r.toldNow()
	if further {
		w.progress.restarts = 0
	} else if w.progress.restarts++; w.progress.restarts > maxRestarts {
		w.finish(s, Goodbye(CodeMemoryFull))
		return
	}
	w.restart(r.since, r.fresh)
	w.progress.reread.told, w.progress.reread.epoch = next, r.epoch
}

// toldNow returns what the watcher holds now that the view is lost, and whether it came
// further than with those before.
func (r *rereading) toldNow() (now []told, further bool) {
	if !r.began {
		return r.told, false
	}
	now, further = append(now, told{r.last, r.view.Position().Rev}), true
	for _, t := range r.told {
		if further = further && t.to.before(r.last); r.last.before(t.to) {
			now = append(now, t)
		}
	}
	return now, further
}

// viewRead ends the state or resync.
func (w *Watcher) viewRead(s *Scratch) {
	at, gen := w.progress.reread.view.Position(), w.progress.reread.gen
	w.dropView()
	w.progress.restarts = 0
	w.epoch, w.rev = at.Epoch, at.Rev
	s.out = faultSaid(w, append(s.out, positioned(Synced, at)))
	m := w.hub.ring.mark()
	seq, ok := w.hub.ring.after(m, at.Rev)
	if m.at.Epoch != at.Epoch && m.gen == gen {
		seq, ok = m.next, true // the state is another, and the hub is about to be told
	} else if m.at.Epoch != at.Epoch {
		ok = false
	}
	if !ok {
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
