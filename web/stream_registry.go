package web

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/reactor"
)

// streamOptions configure a streamRegistry. The zero value of each field but
// door and reactor is its default.
type streamOptions struct {
	door    *auth.Door
	reactor *reactor.Reactor
	// budget is what streams are charged to.
	budget *ratelimit.Budget
	// max bounds the streams open at once; 100,000.
	max int
	// heartbeat is how long a stream may be silent; 15 seconds.
	heartbeat time.Duration
	logger    *slog.Logger
	// full reports whether there is no room for another connection of any kind.
	full func() bool
}

// A streamRegistry knows the streams that are open, which the HTTP server
// forgets as soon as it has handed over their connections. It is safe for
// concurrent use.
type streamRegistry struct {
	opts streamOptions
	mu   struct {
		sync.Mutex
		open    map[*stream]struct{}
		owners  map[*auth.Caller]*streamOwner
		closing bool
	}
	// idle is closed when no stream is open and none will be let in.
	idle chan struct{}
}

func newStreamRegistry(opts streamOptions) *streamRegistry {
	if opts.max == 0 {
		opts.max = 100_000
	}
	if opts.heartbeat == 0 {
		opts.heartbeat = 15 * time.Second
	}
	if opts.logger == nil {
		opts.logger = slog.New(slog.DiscardHandler)
	}
	r := &streamRegistry{opts: opts, idle: make(chan struct{})}
	r.mu.open, r.mu.owners = make(map[*stream]struct{}), make(map[*auth.Caller]*streamOwner)
	return r
}

// enter takes a place for s. It fails with api.ErrTooManyStreams or kv.ErrStopping.
func (r *streamRegistry) enter(s *stream) error {
	full := r.opts.full()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.closing {
		return kv.ErrStopping
	}
	if full || len(r.mu.open) >= r.opts.max {
		return api.ErrTooManyStreams
	}
	r.mu.open[s] = struct{}{}
	return nil
}

// leave gives the place of s back.
func (r *streamRegistry) leave(s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.open, s)
	if r.mu.closing && len(r.mu.open) == 0 {
		close(r.idle)
	}
}

// Len returns how many streams are open.
func (r *streamRegistry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.open)
}

// Drain lets no more streams in and says bye on each, with a retry of its own, evenly over
// window. It does not wait for them, and leaves the rest out when ctx ends.
func (r *streamRegistry) Drain(ctx context.Context, window time.Duration) {
	bye := r.opts.door.Hub().Farewell(watch.CodeStopping)
	api.Spread(ctx, window, r.close(), func(s *stream) { s.watcher.End(bye.Message()) })
}

// Close lets no more streams in, says bye on each, with a retry of its own, and
// waits until all have ended. When ctx ends first the rest are cut off; Close
// waits for those too and returns ctx's error. It may be called twice.
func (r *streamRegistry) Close(ctx context.Context) error {
	bye := r.opts.door.Hub().Farewell(watch.CodeStopping)
	for _, s := range r.close() {
		s.watcher.End(bye.Message())
	}
	select {
	case <-r.idle:
		return nil
	case <-ctx.Done():
	}
	for _, s := range r.close() {
		s.cut()
	}
	<-r.idle
	return ctx.Err()
}

// close sets closing and returns the streams that are open.
func (r *streamRegistry) close() []*stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mu.closing {
		r.mu.closing = true
		if len(r.mu.open) == 0 {
			close(r.idle)
		}
	}
	open := make([]*stream, 0, len(r.mu.open))
	for s := range r.mu.open {
		open = append(open, s)
	}
	return open
}
