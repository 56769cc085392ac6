package watch

import "slices"

// readMail takes what the dispatcher has left.
func (w *Watcher) readMail() {
	refs, behind, from := w.mail.take()
	w.refs = refs
	if behind {
		w.phase = catchingUp
		w.move(cursor{from.seq, max(from.rev, w.cur.rev)})
		return
	}
	w.sendRefs()
}

// readRing looks at the next events of the ring. At its end the mailbox takes
// over, unless more has happened meanwhile.
func (w *Watcher) readRing() {
	m := w.hub.ring.mark()
	if w.gen != m.gen {
		w.restart(w.position(), false)
		return
	}
	if w.syncing && w.cur.seq >= w.syncAt {
		w.syncing = false
		w.say.out = faultSaid(w, append(w.say.out, positioned(Synced, w.position())))
		return
	}
	w.refs = nil
	at, ok := w.scan(m)
	if !ok {
		w.restart(w.position(), false)
		return
	}
	w.move(at)
	if len(w.refs) == 0 && !w.syncing && at.seq == m.next && w.mail.catchUp(at) {
		w.phase = following
	}
	w.sendRefs()
}

// scan adds references to what matches among the next events and returns the
// cursor after them; ok is false if some are gone.
func (w *Watcher) scan(m *mark) (at cursor, ok bool) {
	end := m.next
	if w.syncing {
		end = w.syncAt
	}
	at = w.cur
	for seq := at.seq; seq < end; {
		rec := w.hub.ring.record(seq)
		if rec == nil {
			return at, false
		}
		seq++
		if rec.Entry.Mod > w.cur.rev && w.filter.match(rec.Key) {
			w.refs = append(w.refs, ref{seq: rec.seq, rev: rec.Entry.Mod})
		}
		if rec.Last {
			at = cursor{seq, max(at.rev, rec.Entry.Mod)}
			if len(w.refs) >= maxMail || seq-w.cur.seq >= scanEvents {
				break
			}
		}
	}
	return at, true
}

// sendRefs begins to send what refs name.
func (w *Watcher) sendRefs() {
	if w.latest {
		w.refs = newest(faultRefs(w.refs), w.hub.ring)
	}
	w.drain()
}

// newest keeps the last reference to each key, in order, with the number of
// those before it.
func newest(refs []ref, r *ring) []ref {
	if len(refs) < 2 {
		return refs
	}
	seen := make(map[string]int, len(refs))
	for _, ref := range refs {
		if rec := r.record(ref.seq); rec != nil {
			seen[rec.Key]++
		}
	}
	kept := len(refs)
	for i := len(refs) - 1; i >= 0; i-- {
		if rec := r.record(refs[i].seq); rec != nil {
			n := seen[rec.Key]
			if n == 0 {
				continue
			}
			refs[i].skipped = n - 1
			seen[rec.Key] = 0
		}
		kept--
		refs[kept] = refs[i]
	}
	return slices.Delete(refs, 0, kept)
}

// drain adds the messages for the next of refs to out: whole revisions, or in
// mode Latest as many as fit, with the position after the last of the flush.
func (w *Watcher) drain() {
	size, sent := 0, 0
	for i, r := range w.refs {
		rec := w.hub.ring.record(r.seq)
		if rec == nil {
			w.lose(r)
			return
		}
		m := Message{
			Kind: Put, Key: rec.Key, Entry: rec.Entry, Time: rec.Time,
			Skipped: r.skipped, form: w.form, rec: rec,
		}
		if rec.Entry.Deleted() {
			m.Kind = Delete
		}
		last := i+1 == len(w.refs) || !w.latest && w.refs[i+1].rev != r.rev
		if last {
			m.At, m.HasAt = w.position(), true
			m.At.Rev = r.rev
		}
		w.say.out = faultSaid(w, append(w.say.out, m))
		size += int(rec.bodySize())
		if last || w.latest {
			w.cur.rev = max(w.cur.rev, r.rev)
			sent = i + 1
			if size >= batchBytes {
				break
			}
		}
	}
	if w.refs = w.refs[sent:]; len(w.refs) == 0 {
		w.refs = nil
	}
}

// lose gives up refs from r on, because its event is gone, and drops the part
// of its revision that is in out. All before that revision was sent.
func (w *Watcher) lose(r ref) {
	for n := len(w.say.out); n > 0 && !w.latest && !w.say.out[n-1].HasAt; n-- {
		w.say.out = w.say.out[:n-1]
	}
	w.mail.fallBehind()
	w.cur.rev = r.rev - 1
	w.restart(w.position(), false)
}
