package trace

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv/wake"
)

// DefaultKept is how many spans wait for an exporter at most: two or three megabytes.
const DefaultKept = 8192

// Options configure a Tracer. The zero value samples only what callers sample.
type Options struct {
	// Ratio is the part of the requests without a traceparent that is sampled, 0 to 1.
	Ratio float64
	// Keys says that names of keys are recorded.
	Keys bool
	// Kept bounds the spans that wait for an exporter; DefaultKept. More are dropped.
	Kept int
}

// A Tracer samples requests, and keeps their spans until Take. A nil Tracer samples none. It is
// safe for concurrent use.
type Tracer struct {
	opts Options
	// below is the part of all random numbers that are sampled.
	below             atomic.Uint64
	recorded, dropped atomic.Uint64
	// Wake says that there are spans to take.
	Wake wake.Chan
	mu   struct {
		sync.Mutex
		spans []*Span
	}
}

// New returns a tracer.
func New(opts Options) *Tracer {
	if opts.Kept == 0 {
		opts.Kept = DefaultKept
	}
	t := &Tracer{opts: opts, Wake: wake.New()}
	t.SetRatio(opts.Ratio)
	return t
}

// SetRatio has another part of the requests without a traceparent be sampled from now on.
func (t *Tracer) SetRatio(ratio float64) {
	switch {
	case ratio >= 1:
		t.below.Store(math.MaxUint64)
	case ratio > 0:
		t.below.Store(uint64(ratio * math.MaxUint64))
	default:
		t.below.Store(0)
	}
}

// Start begins a request whose caller has sent a traceparent; nil for none, and for one that is to
// be ignored. It returns nil if the request is not sampled.
func (t *Tracer) Start(traceparent []byte) *Span {
	if t == nil {
		return nil
	}
	p, told := Parent{}, false
	if traceparent != nil {
		p, told = ParseParent(traceparent)
	}
	if told && !p.Sampled || !told && !t.draw() {
		return nil
	}
	if !told {
		p.Trace = newID()
	}
	return &Span{tracer: t, Trace: p.Trace, ID: newSpanID(), Parent: p.Span, Remote: told, Request: true, Began: time.Now()}
}

// Work begins a trace of what the server does of its own accord, for one in so many, and returns a
// context that carries its span. It returns ctx and nil if the work is not sampled, or if ctx carries a
// span already. The span belongs to the caller until End.
func (t *Tracer) Work(ctx context.Context, name string) (context.Context, *Span) {
	if t == nil || From(ctx) != nil || !t.draw() {
		return ctx, nil
	}
	s := &Span{tracer: t, Trace: newID(), ID: newSpanID(), Name: name, Began: time.Now()}
	return With(ctx, s), s
}

// draw reports whether something is sampled by chance.
func (t *Tracer) draw() bool {
	below := t.below.Load()
	return below > 0 && rand.Uint64() <= below
}

// keep keeps a span that has ended, or drops it if there is no room.
func (t *Tracer) keep(s *Span) {
	t.mu.Lock()
	full := len(t.mu.spans) >= t.opts.Kept
	if !full {
		t.mu.spans = append(t.mu.spans, s)
	}
	first := len(t.mu.spans) == 1
	t.mu.Unlock()
	if full {
		t.dropped.Add(1)
		return
	}
	t.recorded.Add(1)
	if first {
		t.Wake.Wake()
	}
}

// Take removes up to n of the spans that have ended, oldest first.
func (t *Tracer) Take(n int) []*Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	n = min(n, len(t.mu.spans))
	taken := append([]*Span(nil), t.mu.spans[:n]...)
	left := copy(t.mu.spans, t.mu.spans[n:])
	clear(t.mu.spans[left:])
	t.mu.spans = t.mu.spans[:left]
	if left > 0 {
		t.Wake.Wake()
	}
	return taken
}

// Counts returns how many spans were kept for an exporter, and how many were dropped because too
// many waited.
func (t *Tracer) Counts() (recorded, dropped uint64) { return t.recorded.Load(), t.dropped.Load() }

func newID() (id ID) {
	for id == (ID{}) {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
		binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id SpanID) {
	for id == (SpanID{}) {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
