package watch

import (
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
)

const (
	// batchBytes is about how much Next returns at once, in bytes of keys and
	// values. One revision may exceed it.
	batchBytes = 256 << 10
	// scanEvents is about how many events of the ring a watcher that is behind
	// looks at before it returns what it found.
	scanEvents = 4096
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
// now and then is apart.
type Watcher struct {
	hub    *Hub
	filter filter
	mail   mailbox
	// bell wakes Next; nil for those who Poll.
	bell     *bell
	interval time.Duration
	// heartbeat is how long the watcher is silent before it tells a Progress.
	heartbeat time.Duration
	// touched belongs to the dispatcher.
	touched int32
	latest  bool
	form    bodyForm
	closed  atomic.Bool

	// turn is held while Next or Poll runs; the rest belongs to its holder.
	turn    sync.Mutex
	phase   phase
	syncing bool
	// restarts counts the snapshots that were lost in a row.
	restarts uint8
	// gen and epoch are those of the history that cur is a place in.
	gen   uint64
	epoch kv.Epoch
	cur   cursor
	// refs are references still to be sent, of whole revisions.
	refs []ref
	// syncAt is the event before which a resuming watcher is told Synced.
	syncAt uint64
	// reread is set while the watcher is brought forward by a snapshot.
	reread *rereading
	// flushed is when messages were last returned in mode Latest, sent when any
	// were, in nanoseconds since the hub began; 0 is never.
	flushed, sent int64
	// say is where messages go; nil while nobody asks for any.
	say *Scratch
}

// A bell wakes a goroutine that waits in Next.
type bell struct {
	// wake carries a token when there is something to look at; nobody closes it.
	wake chan struct{}
	// closed is closed by Close.
	closed chan struct{}
	// own is what Next returns.
	own Scratch
}

func (b *bell) Wake(*Watcher) {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func newWatcher(h *Hub, r *Request) *Watcher {
	w := &Watcher{
		hub: h, filter: newFilter(r.Keys, r.Prefixes), interval: r.Interval, latest: r.Mode == Latest, sent: h.now(),
	}
	w.mail.owner, w.mail.mu.behind = w, true
	if w.mail.waker = r.Waker; r.Waker == nil {
		w.bell = &bell{wake: make(chan struct{}, 1), closed: make(chan struct{})}
		w.mail.waker = w.bell
	}
	if w.heartbeat = r.Progress; w.heartbeat == 0 {
		w.heartbeat = h.opts.Progress
	}
	if r.Mode == Keys {
		w.form = withoutValue
	}
	return w
}

// begin decides where the watch starts.
func (w *Watcher) begin(r *Request) {
	m := w.hub.ring.mark()
	w.gen, w.epoch = m.gen, m.at.Epoch
	switch r.From {
	case FromLive:
		w.startAt(cursor{m.next, m.at.Rev}, m.next)
	case FromPosition:
		w.resume(r.Since, m)
	default:
		w.restart(kv.Position{}, true)
	}
}

// startAt goes on from a place in the ring, with Synced before event syncAt.
func (w *Watcher) startAt(at cursor, syncAt uint64) {
	w.move(at)
	w.phase, w.syncing, w.syncAt = catchingUp, true, syncAt
}

// move goes on from at, which Stats are to know of.
func (w *Watcher) move(at cursor) {
	w.cur = at
	w.mail.moved(at)
}

// resume goes on after the position written in since.
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
	if len(w.filter.prefixes()) > 0 || len(w.filter.keys()) > quietKeys {
		return false
	}
	for _, key := range w.filter.keys() {
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
	w.phase, w.syncing, w.refs = restarting, false, nil
	w.reread = &rereading{since: since, fresh: fresh}
}

// step does a bounded piece of work, which may add to out.
func (w *Watcher) step(now int64) {
	if m := w.mail.final(); m != nil {
		w.finish(*m)
		return
	}
	if len(w.refs) > 0 {
		w.drain()
		return
	}
	switch w.phase {
	case restarting:
		w.openView()
	case reading:
		w.readView()
	case catchingUp:
		if w.hold(now) == 0 {
			w.readRing()
		}
	case following:
		if w.hold(now) == 0 {
			w.readMail()
		}
	}
}

func (w *Watcher) finish(m Message) {
	w.dropView()
	w.phase = ended
	w.say.out = append(w.say.out[:0], m)
}

func (w *Watcher) position() kv.Position { return kv.Position{Epoch: w.epoch, Rev: w.cur.rev} }

// End makes m, which is Bye or Denied, the last message. Only the first call
// counts.
func (w *Watcher) End(m Message) { w.mail.end(m) }

// Close ends the watch, and Next if it waits. It may be called twice.
func (w *Watcher) Close() {
	if w.closed.CompareAndSwap(false, true) {
		if w.bell != nil {
			close(w.bell.closed)
		}
		w.hub.unregister(w)
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	w.dropView()
}
