package watch

import (
	"slices"

	"keywatch/kv"
)

// readMail takes what the dispatcher has left.
func (w *Watcher) readMail(s *Scratch) {
	l, behind, from := w.mail.take()
	if behind {
		w.phase, w.progress = catchingUp, new(progress)
		w.move(cursor{from.seq, max(from.rev, w.rev)})
		return
	}
	if l == nil {
		return
	}
	w.sendRefs(s, l.newer(w.rev))
	if w.progress == nil { // nothing is left
		l.free()
	}
}

// newer returns the references to what came after rev.
func (l *letter) newer(rev kv.Rev) []ref {
	i := 0
	for i < len(l.refs) && l.refs[i].rev <= rev {
		i++
	}
	return l.refs[i:]
}

// readRing looks at the next events of the ring. At its end the mailbox takes
// over, unless more has happened meanwhile.
func (w *Watcher) readRing(s *Scratch) {
	m, r := w.hub.ring.mark(), w.progress
	if w.gen != m.gen {
		w.restart(w.position(), false)
		return
	}
	if r.syncing && r.seq >= r.syncAt {
		r.syncing = false
		s.out = faultSaid(w, append(s.out, positioned(Synced, w.position())))
		return
	}
	end := m.next
	if r.syncing {
		end = r.syncAt
	}
	if r.seq < end && w.hub.ring.record(r.seq) == nil {
		w.restart(w.position(), false)
		return
	}
	if end-r.seq > uint64(w.hub.opts.SelfReadMax) {
		w.phase = sweeping
		w.hub.join(w, cursor{r.seq, w.rev}, end)
		return
	}
	at, refs, ok := w.scan(end)
	if !ok {
		w.restart(w.position(), false)
		return
	}
	w.move(at)
	if len(refs) == 0 && !r.syncing && at.seq == m.next && w.mail.catchUp(&w.hub.lagging, at) {
		w.phase, w.progress = following, nil
		return
	}
	w.sendRefs(s, refs)
}

// scan returns references to what matches among the events before end, and the
// cursor after them; ok is false if some are gone.
func (w *Watcher) scan(end uint64) (at cursor, refs []ref, ok bool) {
	f, from := w.filter(), cursor{w.progress.seq, w.rev}
	at = from
	for seq := at.seq; seq < end; {
		rec := w.hub.ring.record(seq)
		if rec == nil {
			return at, nil, false
		}
		seq++
		if rec.Entry.Mod > from.rev && f.match(rec.Key) {
			refs = append(refs, ref{seq: rec.seq, rev: rec.Entry.Mod})
		}
		if rec.Last {
			at = cursor{seq, max(at.rev, rec.Entry.Mod)}
			if len(refs) >= maxMail {
				break
			}
		}
	}
	return at, refs, true
}

// sendRefs begins to send what refs name. They are kept if that takes more than
// one turn.
func (w *Watcher) sendRefs(s *Scratch, refs []ref) {
	if w.latest {
		refs = newest(faultRefs(refs), w.hub.ring)
	}
	if rest := w.send(s, refs); len(rest) > 0 {
		if w.progress == nil {
			w.progress = new(progress)
		}
		w.progress.refs = rest
	}
}

// drain sends what is left.
func (w *Watcher) drain(s *Scratch) {
	refs := w.progress.refs
	w.progress.refs = nil
	if w.progress.refs = w.send(s, refs); len(w.progress.refs) == 0 && w.phase == following {
		w.progress = nil
	}
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

// send adds the messages for the next of refs to what s returns: whole
// revisions, or in mode Latest as many as fit, with the position after the last
// of the flush. It returns what is left.
func (w *Watcher) send(s *Scratch, refs []ref) (left []ref) {
	size, sent := 0, 0
	for i, r := range refs {
		rec := w.hub.ring.record(r.seq)
		if rec == nil {
			w.lose(s, r)
			return nil
		}
		m := Message{
			Kind: Put, Key: rec.Key, Entry: rec.Entry, Time: rec.Time,
			Skipped: r.skipped, form: w.form, rec: rec,
		}
		if rec.Entry.Deleted() {
			m.Kind = Delete
		}
		last := i+1 == len(refs) || !w.latest && refs[i+1].rev != r.rev
		if last {
			m.At, m.HasAt = w.position(), true
			m.At.Rev = r.rev
		}
		s.out = faultSaid(w, append(s.out, m))
		size += int(rec.bodySize())
		if last || w.latest {
			w.rev = max(w.rev, r.rev)
			sent = i + 1
			if size >= batchBytes {
				break
			}
		}
	}
	return refs[sent:]
}

// lose gives up refs from r on, because its event is gone, and drops the part
// of its revision that was about to be told. All before that revision was sent.
func (w *Watcher) lose(s *Scratch, r ref) {
	for n := len(s.out); n > 0 && !w.latest && !s.out[n-1].HasAt; n-- {
		s.out = s.out[:n-1]
	}
	w.mail.fallBehind(&w.hub.lagging, cursor{r.seq, r.rev - 1})
	w.rev = r.rev - 1
	w.restart(w.position(), false)
}
