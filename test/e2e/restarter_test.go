package e2e_test

import (
	"context"
	"keywatch/test/load"
	"sync"
	"testing"
)

// A restarter is a store whose server comes and goes, each time on another port.
// It is safe for concurrent use; only one goroutine restarts.
type restarter struct {
	args []string
	mu   struct {
		sync.Mutex
		now     *server
		changed chan struct{} // closed when now changes
	}
}

// keep starts a server on dir that restart brings back with the same args.
func keep(t testing.TB, dir string, args ...string) *restarter {
	t.Helper()
	r := &restarter{args: append([]string{"--data", dir}, args...)}
	r.mu.changed = make(chan struct{})
	r.restart(t)
	return r
}

// restart starts the server, which must have ended, again.
func (r *restarter) restart(t testing.TB) *server {
	t.Helper()
	s := serve(t, r.args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.now = s
	close(r.mu.changed)
	r.mu.changed = make(chan struct{})
	return s
}

func (r *restarter) server() *server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.now
}

func (r *restarter) url() string { return r.server().url }

// Pick implements load.Target: requests go to the newest server.
func (r *restarter) Pick() (url string, lost func(ctx context.Context)) {
	s := r.server()
	return s.url, func(ctx context.Context) {
		load.Pause(ctx)
		select {
		case <-s.exited:
			r.after(ctx, s)
		default:
		}
	}
}

// client returns a client that always asks the newest server.
func (r *restarter) client(t testing.TB) *load.Client { return load.NewClient(t, r.url, nil) }

// after waits until the newest server is another one than gone and returns it.
// It returns nil if ctx ends first.
func (r *restarter) after(ctx context.Context, gone *server) *server {
	for {
		r.mu.Lock()
		now, changed := r.mu.now, r.mu.changed
		r.mu.Unlock()
		if now != gone {
			return now
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
