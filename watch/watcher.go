package watch

import (
	"context"
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

// A Watcher gives the messages of one watch. Next is for one goroutine; the
// other methods are safe for concurrent use.
type Watcher struct {
	hub      *Hub
	filter   filter
	latest   bool
	form     bodyForm
	interval time.Duration
	// heartbeat is how long Next waits in vain before it returns a Progress.
	heartbeat time.Duration
	mail      *mailbox
	closed    chan struct{}
	once      sync.Once
	// found is what the dispatcher's pass has found so far; it belongs to the
	// holder of the hub's lock.
	found []ref
	// place is cur.seq as of late, for Stats.
	place atomic.Uint64

	// turn is held while Next runs; the rest belongs to its holder.
	turn  sync.Mutex
	phase phase
	// gen and epoch are those of the history that cur is a place in.
	gen   uint64
	epoch kv.Epoch
	cur   cursor
	// refs are references still to be sent, of whole revisions.
	refs []ref
	// syncAt is the event before which a resuming watcher is told Synced.
	syncAt  uint64
	syncing bool
	// since is the position to bring the watcher forward from; fresh says that
	// it holds nothing yet, or nothing of use.
	since    kv.Position
	fresh    bool
	restarts int
	view     *view
	pull     func() (string, *kv.Entry, bool)
	stopPull func()
	// flushed is when messages were last returned in mode Latest, sent when any
	// were.
	flushed, sent time.Time
	out           []Message
}

func newWatcher(h *Hub, r *Request) *Watcher {
	w := &Watcher{
		hub: h, filter: newFilter(r.Keys, r.Prefixes), interval: r.Interval, latest: r.Mode == Latest,
		mail: newMailbox(), closed: make(chan struct{}), sent: time.Now(),
	}
	if w.heartbeat = r.Progress; w.heartbeat == 0 {
		w.heartbeat = h.opts.Progress
	}
	if r.Mode == Keys {
		w.form = withoutValue
	}
	w.mail.waker, w.mail.owner = r.Waker, w
	w.place.Store(h.ring.mark().next)
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

func (w *Watcher) move(at cursor) {
	w.cur = at
	w.place.Store(at.seq)
}

// resume goes on after the position written in since.
func (w *Watcher) resume(since string, m *mark) {
	at, err := kv.ParsePosition(since)
	if err != nil || at.Rev == 0 || at.Epoch != m.at.Epoch {
		w.restart(kv.Position{}, true)
		return
	}
	// A position beyond the ring's may be one that the state shows already.
	if seq, ok := w.hub.ring.after(m, at.Rev); ok && at.Rev <= m.at.Rev {
		w.startAt(cursor{seq, at.Rev}, m.next)
		return
	}
	w.restart(at, false)
}

// restart brings the watcher forward from since by a snapshot; fresh means from
// nothing.
func (w *Watcher) restart(since kv.Position, fresh bool) {
	w.dropView()
	w.phase, w.since, w.fresh, w.syncing = restarting, since, fresh, false
	w.refs = w.refs[:0]
}

// Next waits until there is something to tell and returns it: one message or
// more, never part of a revision's. The slice is valid until the next call,
// what it holds for as long as one likes. After the last message, which is Bye
// or Denied, and after Close, it fails with ErrClosed; when ctx ends, with
// ctx's error, and may be called again.
func (w *Watcher) Next(ctx context.Context) ([]Message, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	clear(w.out)
	if w.out = w.out[:0]; cap(w.out) > keepCap {
		w.out = nil
	}
	for {
		if err := w.alive(ctx); err != nil {
			return nil, err
		}
		w.step()
		if len(w.out) > 0 {
			w.count()
			return w.out, nil
		}
		if err := w.rest(ctx); err != nil {
			return nil, err
		}
	}
}

// A Scratch holds what Poll returns, so that idle watchers need not. The zero
// value is ready. One is enough for many watchers, one at a time.
type Scratch struct {
	out []Message
}

// Poll is Next for those who must not wait: it returns what there is to tell,
// after a bounded piece of work. Without messages, again is when to ask again,
// even if the watch's Waker is not called before; it is not after now if there
// is more to do at once. The messages belong to s: they are valid until s is
// used again. It fails as Next does.
func (w *Watcher) Poll(s *Scratch, now time.Time) (messages []Message, again time.Time, err error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	clear(s.out)
	w.out = s.out[:0]
	defer func() { s.out, w.out = w.out, nil }()
	if err := w.alive(context.Background()); err != nil {
		return nil, now, err
	}
	w.step()
	if len(w.out) == 0 {
		if again = w.due(now); !again.Equal(w.sent.Add(w.heartbeat)) || again.After(now) {
			return nil, again, nil
		}
		w.progress()
	}
	w.count()
	return w.out, now, nil
}

// due returns when there is something to do, now at the earliest.
func (w *Watcher) due(now time.Time) time.Time {
	hold := w.hold()
	if len(w.refs) > 0 || hold == 0 && w.phase != following || w.phase == restarting || w.phase == reading {
		return now
	}
	due := w.sent.Add(w.heartbeat)
	if held := now.Add(hold); hold > 0 && held.Before(due) {
		return held
	}
	return due
}

// Heavy reports whether the next Poll may read much of the state.
func (w *Watcher) Heavy() bool {
	w.turn.Lock()
	defer w.turn.Unlock()
	return w.phase == restarting || w.phase == reading
}

// alive returns why Next cannot go on, if so.
func (w *Watcher) alive(ctx context.Context) error {
	select {
	case <-w.closed:
		return ErrClosed
	default:
	}
	if w.phase == ended {
		return ErrClosed
	}
	return ctx.Err()
}

// step does a bounded piece of work, which may add to out.
func (w *Watcher) step() {
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
		if w.hold() == 0 {
			w.readRing()
		}
	case following:
		if w.hold() == 0 {
			w.readMail()
		}
	}
}

func (w *Watcher) finish(m Message) {
	w.dropView()
	w.phase = ended
	w.out = append(w.out[:0], m)
}

// hold returns how long the next flush has to wait.
func (w *Watcher) hold() time.Duration {
	if w.interval == 0 || w.syncing || w.flushed.IsZero() {
		return 0
	}
	return max(0, w.interval-time.Since(w.flushed))
}

// rest waits where there is nothing to do at once. When it is time for a
// Progress it adds one to out.
func (w *Watcher) rest(ctx context.Context) error {
	hold := w.hold()
	if len(w.refs) > 0 || hold == 0 && w.phase != following || w.phase == restarting || w.phase == reading {
		return nil
	}
	idle := w.heartbeat - time.Since(w.sent)
	if idle <= 0 {
		w.progress()
		return nil
	}
	wait := idle
	if hold > 0 {
		wait = min(hold, idle)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.mail.wake:
	case <-timer.C:
	case <-w.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// progress tells how far the watcher has come, if it has missed nothing up to
// there.
func (w *Watcher) progress() {
	at := w.hub.dispatched.Load()
	if w.phase == following && at.Epoch == w.epoch && w.mail.idle() {
		w.cur.rev = max(w.cur.rev, at.Rev)
	}
	w.sent = time.Now()
	w.out = append(w.out, positioned(Progress, w.position()))
}

func (w *Watcher) position() kv.Position { return kv.Position{Epoch: w.epoch, Rev: w.cur.rev} }

// count notes what Next returns.
func (w *Watcher) count() {
	w.sent = time.Now()
	changes := 0
	for i := range w.out {
		if w.out[i].Entry != nil {
			changes++
		}
	}
	if changes == 0 {
		return
	}
	w.hub.delivered.Add(uint64(changes))
	if w.phase == following || w.phase == catchingUp {
		w.flushed = w.sent
	}
}

// End makes m, which is Bye or Denied, the last message. Only the first call
// counts.
func (w *Watcher) End(m Message) { w.mail.end(m) }

// Close ends the watch, and Next if it waits. It may be called twice.
func (w *Watcher) Close() {
	w.once.Do(func() {
		close(w.closed)
		w.hub.unregister(w)
	})
	w.turn.Lock()
	defer w.turn.Unlock()
	w.dropView()
}

// forgetFound empties found for the next pass; the hub's lock is held.
func (w *Watcher) forgetFound() {
	if w.found = w.found[:0]; cap(w.found) > keepCap {
		w.found = nil
	}
}
