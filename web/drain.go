package web

import (
	"context"
	"sync"
	"time"
)

// Drain has clients leave: it lets no new streams in, tells those that are open to reconnect,
// evenly over window, and closes each other connection after its next answer. Requests are
// served meanwhile, except that Ready fails, so that a load balancer finds another server. It
// returns after window, or when ctx ends. Shutdown follows.
func (s *Server) Drain(ctx context.Context, window time.Duration) {
	s.leaving.Store(true)
	timer := time.NewTimer(window)
	defer timer.Stop()
	var told sync.WaitGroup
	told.Go(func() { s.streams.Drain(ctx, window) })
	told.Go(func() { s.sockets.Drain(ctx, window) })
	told.Go(func() { s.redis.Drain(ctx, window) })
	told.Wait()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
