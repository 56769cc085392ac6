package watch

import (
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/trace"
)

const (
	// tracedKept is how many revisions are remembered that sampled requests may have written.
	tracedKept = 1024
	// tracedDeliveries is how many deliveries of a revision are added to its trace: a trace with
	// one for each of thousands of watches could not be read.
	tracedDeliveries = 4
)

// traces knows the revisions that sampled requests have written, so that their deliveries become
// parts of those requests. The zero value knows none. It has one publisher, and is otherwise safe
// for concurrent use.
type traces struct {
	// expected says that the revisions that are published may be traced; it is the publisher's.
	expected bool
	// used says that there were any.
	used  atomic.Bool
	slots [tracedKept]atomic.Pointer[tracedRev]
}

// A tracedRev is a revision that a sampled request may have written.
type tracedRev struct {
	at        kv.Position
	published time.Time
	mu        struct {
		sync.Mutex
		// request is what has written it, nil until that is known.
		request *trace.Span
		// handed are the first deliveries, those before request was known without being added.
		handed []time.Time
	}
}

func (t *traces) slot(rev kv.Rev) *atomic.Pointer[tracedRev] { return &t.slots[uint64(rev)%tracedKept] }

// published notes events that end at a position.
func (t *traces) published(events []kv.Event, at kv.Position) {
	if !t.expected {
		return
	}
	t.used.Store(true)
	now, last := time.Now(), kv.Rev(0)
	for i := range events {
		if rev := events[i].Entry.Mod; rev != last {
			t.slot(rev).Store(&tracedRev{at: kv.Position{Epoch: at.Epoch, Rev: rev}, published: now})
			last = rev
		}
	}
}

// delivered notes that a revision was handed to a watcher.
func (t *traces) delivered(at kv.Position) {
	if !t.used.Load() {
		return
	}
	r := t.slot(at.Rev).Load()
	if r == nil || r.at != at {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mu.handed) == tracedDeliveries {
		return
	}
	r.mu.handed = append(r.mu.handed, time.Now())
	if r.mu.request != nil {
		r.addLocked(r.mu.handed[len(r.mu.handed)-1])
	}
}

func (r *tracedRev) addLocked(handed time.Time) {
	r.mu.request.Add("keywatch.watch.deliver", r.published, handed)
}

// Expect says whether the revisions that are published next may be those of sampled requests. It
// belongs to the goroutine that publishes.
func (h *Hub) Expect(traced bool) { h.traces.expected = traced }

// Wrote says that a sampled request has written the revision at a position: the time until it is
// handed to the first few watches becomes a part of the request.
func (h *Hub) Wrote(at kv.Position, request *trace.Span) {
	r := h.traces.slot(at.Rev).Load()
	if r == nil || r.at != at {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.request = request
	for _, handed := range r.mu.handed {
		r.addLocked(handed)
	}
}
