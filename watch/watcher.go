package watch

import (
	"cmp"
	"iter"
	"math"
	"sync"
	"time"

	"keywatch/kv"
	"keywatch/kv/wake"
)

const (
	// batchBytes is about how much Next returns at once, in bytes of keys and
	// values. One revision may exceed it.
	batchBytes = 256 << 10
	// keepCap bounds the slices that an idle watcher keeps, in elements.
	keepCap = 64
	// quietKeys is how many keys are looked up before history is read for them.
	quietKeys = 16
	// maxRestarts is how many snapshots in a row may be lost before the watcher
	// is sent away.
	maxRestarts = 3
)

// phase is what a watcher does next.
type phase uint8

const (
	// following reads the mailbox.
	following phase = iota
	// catchingUp reads the ring from cur.
	catchingUp
	// sweeping waits for the shared catch-up, which sweeps the ring for it.
	sweeping
	// restarting opens a snapshot, to tell what changed since since.
	restarting
	// reading sends what the snapshot holds.
	reading
	// ended has nothing more to say.
	ended
)

// A Watcher gives the messages of one watch, by Next or by Poll. Those two are
// for one goroutine at a time; the other methods are safe for concurrent use.
//
// There may be a million of them, nearly all of them idle: what is needed only
// now and then, or by few, is apart.
type Watcher struct {
	hub *Hub
	// first is the name that is watched, one of them if there are more.
	first link
	// extra is nil unless more than one name is watched, or an interval kept.
	extra *extra
	mail  mailbox
	// touched belongs to the dispatcher.
	touched int32
	// heartbeat is how long the watcher is silent before it tells a Progress, in
	// milliseconds; 0 is for ever.
	heartbeat int32
	latest    bool
	form      bodyForm

	// turn is held while Next or Poll runs; the rest belongs to its holder.
	turn  sync.Mutex
	phase phase
	// gen and epoch are those of the history that the watcher is in, and rev is
	// how far it has come: it was told everything up to there.
	gen   uint32
	epoch kv.Epoch
	rev   kv.Rev
	// sent is when messages were last returned, in nanoseconds since the hub
	// began.
	sent int64
	// progress is what a watcher has to do that is not just idle; never nil in
	// another phase than following.
	progress *progress
}

// extra is what few watchers have.
type extra struct {
	// filter has all names, if links has any: the place in the index of each name
	// but the first.
	filter   filter
	links    []link
	interval time.Duration
	// flushed is when changes were last returned, in nanoseconds since the hub
	// began; 0 is never.
	flushed int64
}

// A progress is how far a watcher that is not idle has come, and what it still has to
// do.
type progress struct {
	// seq is the number of the next event to look at in the ring.
	seq uint64
	// syncAt is the event before which a resuming watcher is told Synced, if
	// syncing is set.
	syncAt  uint64
	syncing bool
	// restarts counts the snapshots that were lost in a row.
	restarts uint8
	// refs are references still to be sent, of whole revisions.
	refs []ref
	// reread is set while the watcher is brought forward by a snapshot.
	reread *rereading
}

// A sleeper is the Waker of a watch whose messages Next waits for.
type sleeper struct {
	wake wake.Chan
	// closed is closed by Close.
	closed chan struct{}
	// own is what Next returns.
	own Scratch
}

// Wake implements Waker.
func (b *sleeper) Wake(*Watcher) { b.wake.Wake() }

// Never is the Request.Progress of those who want none.
const Never time.Duration = 100 * 365 * 24 * time.Hour

// init makes w ready to be registered.
func (w *Watcher) init(h *Hub, r *Request) {
	w.hub, w.latest, w.sent, w.progress = h, r.Mode == Latest, h.now(), new(progress)
	waker := r.Waker
	if waker == nil {
		waker = &sleeper{wake: wake.New(), closed: make(chan struct{})}
	}
	w.mail.init(waker)
	w.setNames(newFilter(r.Keys, r.Prefixes).clone(), r.Interval)
	w.setHeartbeat(cmp.Or(r.Progress, h.opts.Progress))
	if r.Mode == Keys {
		w.form = withoutValue
	}
}

func (w *Watcher) setNames(f filter, interval time.Duration) {
	w.first = link{name: f.names[0], watch: w, prefix: f.n == 0}
	if len(f.names) == 1 && interval == 0 {
		return
	}
	w.extra = &extra{filter: f, interval: interval}
	for i, name := range f.names[1:] {
		w.extra.links = append(w.extra.links, link{name: name, watch: w, prefix: i+1 >= f.n})
	}
}

func (w *Watcher) setHeartbeat(d time.Duration) {
	if ms := d.Milliseconds(); ms <= math.MaxInt32 {
		w.heartbeat = int32(max(ms, 1))
	}
}

// links yields the watcher's places in the index.
func (w *Watcher) links() iter.Seq[*link] {
	return func(yield func(*link) bool) {
		if !yield(&w.first) || w.extra == nil {
			return
		}
		for i := range w.extra.links {
			if !yield(&w.extra.links[i]) {
				return
			}
		}
	}
}

// filter returns what is watched.
func (w *Watcher) filter() filter {
	if w.extra != nil {
		return w.extra.filter
	}
	f := filter{names: []string{w.first.name}}
	if !w.first.prefix {
		f.n = 1
	}
	return f
}

// Names returns the keys and prefixes that are watched; what another of them covers is left out.
// They must not be changed.
func (w *Watcher) Names() (keys, prefixes []string) {
	f := w.filter()
	return f.keys(), f.prefixes()
}

// wake tells of w that there is something to look at.
func (w *Watcher) wake() { w.mail.waker.Wake(w) }

// begin decides where the watch starts.
func (w *Watcher) begin(r *Request) {
	m := w.hub.ring.mark()
	w.gen, w.epoch = m.gen, m.at.Epoch
	w.mail.moved(&w.hub.lagging, cursor{m.next, m.at.Rev})
	switch r.From {
	case FromLive:
		w.startAt(cursor{m.next, m.at.Rev}, m.next)
	case FromPosition:
		w.resume(r.Since, m)
	default:
		w.restart(kv.Position{}, true)
	}
}

// startAt continues from a place in the ring, with Synced before event syncAt.
func (w *Watcher) startAt(at cursor, syncAt uint64) {
	w.move(at)
	w.phase, w.progress.syncing, w.progress.syncAt = catchingUp, true, syncAt
}

// move continues from at, which Stats are to know of.
func (w *Watcher) move(at cursor) {
	w.progress.seq, w.rev = at.seq, at.rev
	w.mail.moved(&w.hub.lagging, at)
}

// resume continues after the position written in since.
func (w *Watcher) resume(since string, m *mark) {
	at, err := kv.ParsePosition(since)
	if err != nil || at.Rev == 0 || at.Epoch != m.at.Epoch {
		w.restart(kv.Position{}, true)
		return
	}
	at.Rev = faultSince(at.Rev)
	// A position beyond the ring's may be one that the state shows already.
	if seq, ok := w.hub.ring.after(m, at.Rev); (ok || faultLost()) && at.Rev <= m.at.Rev {
		if w.quiet(at.Rev) {
			seq, at.Rev = m.next, m.at.Rev
		}
		w.startAt(cursor{seq, at.Rev}, m.next)
		return
	}
	w.restart(at, false)
}

// quiet reports whether nothing has happened since rev to the keys that are
// watched, if these are few and no prefixes. The state is at least as new as the
// ring's mark, so that what it shows unchanged is not in between either.
func (w *Watcher) quiet(rev kv.Rev) bool {
	f := w.filter()
	if len(f.prefixes()) > 0 || len(f.keys()) > quietKeys {
		return false
	}
	for _, key := range f.keys() {
		if w.hub.views.source.Changed(key, rev) {
			return false
		}
	}
	return true
}

// restart brings the watcher forward from since by a snapshot; fresh means from
// nothing.
func (w *Watcher) restart(since kv.Position, fresh bool) {
	w.dropView()
	if w.phase = restarting; w.progress == nil {
		w.progress = new(progress)
	}
	w.progress.syncing, w.progress.refs = false, nil
	w.progress.reread = &rereading{since: since, fresh: fresh}
}

// step does a bounded piece of work, which may add to what s returns.
func (w *Watcher) step(s *Scratch, now int64) {
	if w.progress != nil && len(w.progress.refs) > 0 {
		w.drain(s)
		return
	}
	switch w.phase {
	case restarting:
		w.openView(s)
	case reading:
		w.readView(s)
	case catchingUp:
		if w.hold(now) == 0 {
			w.readRing(s)
		}
	case sweeping:
		w.readSwept(s)
	case following:
		if w.hold(now) == 0 {
			w.readMail(s)
		}
	}
}

func (w *Watcher) finish(s *Scratch, m Message) {
	w.dropView()
	w.phase = ended
	s.out = append(s.out[:0], m)
}

func (w *Watcher) position() kv.Position { return kv.Position{Epoch: w.epoch, Rev: w.rev} }

// End makes m, which is Bye or Denied, the last message. Only the first call
// counts.
func (w *Watcher) End(m Message) {
	w.mail.end(m)
	w.wake()
}

// Close ends the watch, and Next if it waits. It may be called twice.
func (w *Watcher) Close() {
	if w.mail.close(&w.hub.lagging) {
		if b, ok := w.mail.waker.(*sleeper); ok {
			close(b.closed)
		}
		w.hub.unregister(w)
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	w.dropView()
}
