package watch

import (
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/wake"
)

// Options configure a Hub. The zero value of each field is its default.
type Options struct {
	// History bounds the ring of recent events, in bytes; 64 MiB.
	History int64
	// MaxWatches bounds the watchers open at once; 100,000.
	MaxWatches int
	// MaxNames bounds the keys and prefixes of one watch together; [MaxNames].
	MaxNames int
	// Mailbox bounds the references that wait for one watcher; 512. One with more
	// to come reads history on its own.
	Mailbox int
	// Mail is about how many references wait for all watchers together, 24 bytes each;
	// 1,048,576. With more watchers each has fewer, down to 16.
	Mail int
	// SelfReadMax is how many events a watcher that is behind reads from the ring on
	// its own; 1,024. With more before it, it joins the shared catch-up.
	SelfReadMax int
	// Progress is how long a watcher waits in vain before it gets a Progress;
	// 15 seconds.
	Progress time.Duration
	// Now returns the present log time in milliseconds, from which the TTLs in a
	// state are counted; by default the time of the state's last change.
	Now func() int64
	// Others returns the URLs of the other servers of a cluster that can serve watches now, in a list that the caller
	// may change; nil for a server that is alone. It must not wait.
	Others func() []string
}

func (o Options) withDefaults() Options {
	if o.History == 0 {
		o.History = 64 << 20
	}
	if o.MaxWatches == 0 {
		o.MaxWatches = 100_000
	}
	if o.MaxNames == 0 {
		o.MaxNames = MaxNames
	}
	if o.Mailbox == 0 {
		o.Mailbox = maxMail
	}
	if o.Mail == 0 {
		o.Mail = 1 << 20
	}
	if o.SelfReadMax == 0 {
		o.SelfReadMax = selfReadMax
	}
	if o.Progress == 0 {
		o.Progress = 15 * time.Second
	}
	return o
}

// A Snapshotter opens snapshots of the state whose changes a hub is told of.
type Snapshotter interface {
	Snapshot() (*kv.Snapshot, error)
	// Changed reports whether key was written or deleted after rev, as far as
	// that is known; a deletion that is forgotten counts as one.
	Changed(key string, rev kv.Rev) bool
}

var (
	_ kv.Publisher = (*Hub)(nil)
	_ Snapshotter  = (*kv.State)(nil)
)

// A Hub tells watchers what changes. Its methods are safe for concurrent use,
// but for Publish and Reset, which belong to the one goroutine that applies.
type Hub struct {
	opts  Options
	ring  *ring
	views views
	// began is when the hub counts time from.
	began time.Time

	// wake says that the ring has grown, or that a watcher joined the catch-up.
	wake wake.Chan
	// stop is closed by Close, done by the dispatcher when it ends.
	stop, done chan struct{}
	once       sync.Once
	// open counts the watchers, so that Publish wakes no goroutine where there are none.
	open atomic.Int64
	// dispatched is the position up to which every watcher's mailbox is
	// complete.
	dispatched atomic.Pointer[kv.Position]

	opened, delivered, resyncs, resets atomic.Uint64
	deliveries                         deliveries
	traces                             traces

	lagging lagging
	catchup catchup
	mu      struct {
		sync.Mutex
		closed bool
		index  *index
		dispatcher
	}
}

// New returns a hub. It serves watchers once Bind was called, and must be
// closed.
func New(opts Options) *Hub {
	h := &Hub{
		opts: opts.withDefaults(),
		wake: wake.New(), stop: make(chan struct{}), done: make(chan struct{}),
	}
	h.began = time.Now().Add(-1) // so that 0 is never
	h.ring = newRing(h.opts.History)
	h.mu.index = newIndex()
	h.lagging.init()
	h.dispatched.Store(&kv.Position{})
	go h.dispatch()
	return h
}

// Bind names the state that snapshots come from. It is called once, before the
// first Watch.
func (h *Hub) Bind(s Snapshotter) { h.views.source = s }

// Publish appends whole revisions to history and wakes the dispatcher. It
// never waits.
func (h *Hub) Publish(events []kv.Event, at kv.Position) {
	h.deliveries.published(events, at, h.now)
	h.traces.published(events, at)
	h.ring.append(events, at)
	h.wakeDispatcher()
}

// Reset forgets all history: watchers go on from a snapshot. It never waits.
func (h *Hub) Reset(at kv.Position) {
	h.ring.reset(at)
	h.wakeDispatcher()
}

func (h *Hub) wakeDispatcher() {
	if h.open.Load() == 0 {
		return
	}
	h.wake.Wake()
}

// now is the time in nanoseconds since the hub began.
func (h *Hub) now() int64 { return int64(time.Since(h.began)) }

// Position returns the newest position that the hub was told of.
func (h *Hub) Position() kv.Position { return h.ring.mark().at }

// Watch opens a watch, which must be closed. It fails with ErrEmptyRequest,
// ErrRequestTooLarge, ErrBadInterval, ErrTooManyWatches, ErrClosed,
// kv.ErrStarting before Bind, or an error that matches kv.ErrBadKey. Nothing of
// r is kept.
func (h *Hub) Watch(r Request) (*Watcher, error) {
	w := new(Watcher)
	if err := h.Open(w, r); err != nil {
		return nil, err
	}
	return w, nil
}

// Open is Watch for those who have a place for the Watcher in a record of their
// own: w is zero, and stays where it is until it is closed. Its Waker may be told
// of w before Open returns, but nothing may be asked of w until then.
func (h *Hub) Open(w *Watcher, r Request) error {
	if err := r.validate(h.opts.MaxNames); err != nil {
		return err
	}
	if h.views.source == nil {
		return kv.ErrStarting
	}
	w.init(h, &r)
	if err := h.register(w); err != nil {
		return err
	}
	w.begin(&r)
	return nil
}

func (h *Hub) register(w *Watcher) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.closed {
		return ErrClosed
	}
	open := h.open.Load() // it changes under the lock only
	if open >= int64(h.opts.MaxWatches) {
		return ErrTooManyWatches
	}
	h.open.Store(open + 1)
	h.opened.Add(1)
	if open == 0 {
		h.skipLocked(h.ring.mark())
	}
	for l := range w.links() {
		h.mu.index.add(l)
	}
	return nil
}

// unregister is called once for each watcher.
func (h *Hub) unregister(w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range w.links() {
		h.mu.index.remove(l)
	}
	if s := h.catchup.sweeping[w]; s != nil {
		h.catchup.release(s)
	}
	h.open.Add(-1)
}

// eachLocked calls do for every watcher.
func (h *Hub) eachLocked(do func(*Watcher)) {
	h.mu.index.each(func(l *link) {
		if l == &l.watch.first {
			do(l.watch)
		}
	})
}

// Opened counts the watches there ever were.
func (h *Hub) Opened() uint64 { return h.opened.Load() }

// EndAll ends every watch that is open with a Bye, and lets others open.
func (h *Hub) EndAll(code string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	bye := h.Farewell(code)
	h.eachLocked(func(w *Watcher) { w.End(bye.Message()) })
}

// Close ends every watch with Bye and waits for the dispatcher. Watchers are
// still to be closed. It may be called twice.
func (h *Hub) Close() {
	h.once.Do(func() {
		h.mu.Lock()
		h.mu.closed = true
		bye := h.Farewell(CodeStopping)
		h.eachLocked(func(w *Watcher) { w.End(bye.Message()) })
		h.mu.Unlock()
		close(h.stop)
	})
	<-h.done
}

// Stats are figures of a hub at one moment.
type Stats struct {
	// Watchers counts the open watches; Behind those of them that read history
	// or a snapshot on their own, because they have just begun or are slow.
	Watchers, Behind int
	// MaxLag is the largest number of events that one of those has not looked at.
	MaxLag uint64
	// Published counts the events that the hub was told of, Delivered those
	// that were given to watchers.
	Published, Delivered uint64
	// Resyncs and Resets count how often a watcher was sent either.
	Resyncs, Resets uint64
	// History is the size of the events in the ring, in bytes, Events their
	// number. Floor is the revision from which on it is complete.
	History int64
	Events  int
	Floor   kv.Rev
	At      kv.Position
}

// Stats returns the hub's figures. It costs the same however many watchers there are,
// and makes no writer wait.
func (h *Hub) Stats() Stats {
	m := h.ring.mark()
	s := Stats{
		Watchers:  int(h.open.Load()),
		Published: m.published, Delivered: h.delivered.Load(),
		Resyncs: h.resyncs.Load(), Resets: h.resets.Load(),
		History: m.bytes, Events: int(m.next - m.tail), Floor: m.floor, At: m.at,
	}
	s.Behind, s.MaxLag = h.lagging.behind(m.next)
	return s
}
