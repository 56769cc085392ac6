package web

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
	"keywatch/web/api"
)

const (
	// placeGrace is how long a place or a lock is kept for a caller who left and
	// whose Idempotency-Key may bring it back.
	placeGrace = time.Second
	// placeTimeout bounds giving one up.
	placeTimeout = 10 * time.Second
)

// places knows which requests wait for locks, and gives up what those leave
// behind whose callers have left.
type places struct {
	store     *kv.Store
	life      context.Context
	draining  context.Context
	abandoned atomic.Uint64
	mu        struct {
		sync.Mutex
		closed  bool
		all     map[kv.LeaseID]*place
		waiting int
	}
	running sync.WaitGroup
}

// A place is what is known here of one lease: how many requests wait with it or
// are about to be answered with it, and whether the last one could not be.
type place struct {
	attached int
	left     bool
}

func (p *places) init(s *Server) {
	p.store, p.life, p.draining = s.opts.Store, s.life, s.draining
	p.mu.all = make(map[kv.LeaseID]*place)
}

// parked returns how many requests wait for locks.
func (p *places) parked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.waiting
}

// close waits until nothing is being given up; what is left runs out.
func (p *places) close() {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.Unlock()
	p.running.Wait()
}

// A stay is one request's wait for a lock.
type stay struct {
	places *places
	r      *request
	// ctx ends when the caller has left or the server stops.
	ctx    context.Context
	cancel context.CancelFunc
	conn   *conn
	watch  func() bool
	id     kv.LeaseID
	keyed  bool
}

// stay begins the wait of a request for q.
func (p *places) stay(r *request, q *lock.Request) *stay {
	s := &stay{places: p, r: r, keyed: q.Idem.Key != ""}
	s.ctx, s.cancel = context.WithCancel(p.draining)
	s.conn, _ = r.f.Conn().(*conn)
	if s.conn != nil && q.Wait > 0 {
		s.watch = s.conn.watchGone(s.cancel)
	}
	q.Placed = s.enter
	p.mu.Lock()
	p.mu.waiting++
	p.mu.Unlock()
	return s
}

// enter notes the lease that the request has.
func (s *stay) enter(id kv.LeaseID) {
	p := s.places
	s.id = id
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.mu.all[id]
	if one == nil {
		one = &place{}
		p.mu.all[id] = one
	}
	one.attached++
	one.left = false
}

// end ends the wait, which came to result and err, and returns why there is no
// answer to give but a failure. A lock that was got is given up if the answer
// cannot be written.
func (s *stay) end(result *kv.Result, err error) error {
	gone := s.watch != nil && s.watch()
	s.cancel()
	p := s.places
	p.mu.Lock()
	p.mu.waiting--
	p.mu.Unlock()
	held := err == nil && result.Outcome == kv.Committed
	switch {
	case gone:
		s.leave(held || err != nil && s.keyed)
		s.r.f.SetConnectionClose()
		return &api.Failure{Code: api.CodeOutcomeUnknown, Detail: "the caller has left", Cause: err}
	case held && s.conn != nil:
		s.conn.onWrite(func(err error) { s.leave(err != nil) })
	default:
		s.leave(false)
	}
	if err == nil || p.draining.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	if s.keyed {
		return &api.Failure{Code: api.CodeOutcomeUnknown, Detail: "the server is stopping; the place stays for a while", Cause: err}
	}
	return &api.Failure{Code: api.CodeStopping, Detail: "the server is stopping", Cause: err}
}

// leave notes that the request has nothing more to do with its lease. If lost is
// set nobody was told of it, and it is given up: at once or, if the same request
// may come again, unless it does within placeGrace.
func (s *stay) leave(lost bool) {
	p := s.places
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.mu.all[s.id]
	if one == nil {
		return
	}
	one.attached--
	one.left = lost
	if lost && !p.mu.closed {
		p.running.Go(func() { p.abandon(s.id, one, s.keyed) })
		return
	}
	p.forgetLocked(s.id, one)
}

func (p *places) forgetLocked(id kv.LeaseID, one *place) {
	if one.attached == 0 && p.mu.all[id] == one {
		delete(p.mu.all, id)
	}
}

// abandon ends a lease that its caller has left, unless it comes back.
func (p *places) abandon(id kv.LeaseID, one *place, wait bool) {
	if wait {
		grace := time.NewTimer(placeGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
		case <-p.life.Done():
			return
		}
	}
	p.mu.Lock()
	lost := one.left && one.attached == 0
	p.forgetLocked(id, one)
	p.mu.Unlock()
	if !lost {
		return
	}
	p.abandoned.Add(1)
	ctx, cancel := context.WithTimeout(p.life, placeTimeout)
	defer cancel()
	_, _ = p.store.Revoke(ctx, id, kv.Idem{}) // or it runs out
}

// watchGone calls gone once the peer has closed the connection, or its sending
// side, while a handler is at work and so nobody else reads. The function
// returned ends that, and says whether the peer has left. A peer that goes on
// sending, as in a pipeline, is not watched any more.
func (c *conn) watchGone(gone func()) (stop func() bool) {
	left := make(chan bool, 1)
	go func() {
		var b [1]byte
		n, err := c.Conn.Read(b[:])
		c.early = append(c.early, b[:n]...)
		var timeout net.Error
		over := n == 0 && err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
		if over {
			gone()
		}
		left <- over
	}()
	return func() bool {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
		over := <-left
		_ = c.Conn.SetReadDeadline(time.Time{})
		return over
	}
}

// Read implements net.Conn: first what watchGone has read, and never a plain
// request, which is answered here.
func (c *conn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	for {
		n, err := c.Conn.Read(b)
		if err != nil || c.conns.answer == nil || phase(c.at.Load()) != phaseIdle {
			return n, err
		}
		done, err := c.conns.answer(c, b[:n])
		if !done {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// onWrite has f called with the outcome of the next write, or with an error if
// the connection is closed before.
func (c *conn) onWrite(f func(error)) { c.written.Store(&f) }

// wrote tells whoever waits how a write went.
func (c *conn) wrote(err error) {
	if c.written.Load() == nil {
		return
	}
	if f := c.written.Swap(nil); f != nil {
		(*f)(err)
	}
}
