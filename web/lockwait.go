package web

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
	"keywatch/web/api"
)

const (
	// lockGrace is how long a place or a lock is kept for a caller who left and
	// whose Idempotency-Key may bring it back.
	lockGrace = time.Second
	// revokeTimeout bounds giving one up.
	revokeTimeout = 10 * time.Second
)

// lockWaits knows which requests wait for locks, and gives up what those leave
// behind whose callers have left.
type lockWaits struct {
	store     *kv.Store
	life      context.Context
	draining  context.Context
	abandoned atomic.Uint64
	mu        struct {
		sync.Mutex
		closed  bool
		all     map[kv.LeaseID]*waitLease
		waiting int
	}
	running sync.WaitGroup
}

// A waitLease is one lease of those: how many requests wait with it or are about to
// be answered with it, and whether the last answer was lost.
type waitLease struct {
	attached int
	left     bool
}

func (w *lockWaits) init(s *Server) {
	w.store, w.life, w.draining = s.door.Server(), s.life, s.draining
	w.mu.all = make(map[kv.LeaseID]*waitLease)
}

// parked returns how many requests wait for locks.
func (w *lockWaits) parked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.waiting
}

// close waits until nothing is being given up; what is left runs out.
func (w *lockWaits) close() {
	w.mu.Lock()
	w.mu.closed = true
	w.mu.Unlock()
	w.running.Wait()
}

// A lockWait is one request's wait for a lock.
type lockWait struct {
	waits *lockWaits
	r     *request
	// ctx ends when the caller has left or the server stops.
	ctx    context.Context
	cancel context.CancelFunc
	conn   *conn
	watch  func() bool
	id     kv.LeaseID
	keyed  bool
}

// begin begins the wait of a request for q.
func (w *lockWaits) begin(r *request, q *lock.Request) *lockWait {
	s := &lockWait{waits: w, r: r, keyed: q.Idem.Key != ""}
	s.ctx, s.cancel = context.WithCancel(w.draining)
	s.conn, _ = r.f.Conn().(*conn)
	if s.conn != nil && q.Wait > 0 {
		s.watch = s.conn.watchGone(s.cancel)
	}
	q.Placed = s.enter
	w.mu.Lock()
	w.mu.waiting++
	w.mu.Unlock()
	return s
}

// enter notes the lease that the request has.
func (s *lockWait) enter(id kv.LeaseID) {
	w := s.waits
	s.id = id
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.mu.all[id]
	if one == nil {
		one = &waitLease{}
		w.mu.all[id] = one
	}
	one.attached++
	one.left = false
}

// end ends the wait, which came to result and err, and returns why there is no
// answer to give but a failure. A lock that was got is given up if the answer
// cannot be written.
func (s *lockWait) end(result *kv.Result, err error) error {
	gone := s.watch != nil && s.watch()
	s.cancel()
	w := s.waits
	w.mu.Lock()
	w.mu.waiting--
	w.mu.Unlock()
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
	if err == nil || w.draining.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	if s.keyed {
		return &api.Failure{Code: api.CodeOutcomeUnknown, Detail: "the server is stopping; the place stays for a while", Cause: err}
	}
	return &api.Failure{Code: api.CodeStopping, Detail: "the server is stopping", Cause: err}
}

// leave notes that the request has nothing more to do with its lease. If lost is
// set no client was told of it, and it is given up: at once or, if the same request
// may come again, unless it does within lockGrace.
func (s *lockWait) leave(lost bool) {
	w := s.waits
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.mu.all[s.id]
	if one == nil {
		return
	}
	one.attached--
	one.left = lost
	if lost && !w.mu.closed {
		w.running.Go(func() { w.abandon(s.id, one, s.keyed) })
		return
	}
	w.forgetLocked(s.id, one)
}

func (w *lockWaits) forgetLocked(id kv.LeaseID, one *waitLease) {
	if one.attached == 0 && w.mu.all[id] == one {
		delete(w.mu.all, id)
	}
}

// abandon ends a lease that its caller has left, unless the caller asks again.
func (w *lockWaits) abandon(id kv.LeaseID, one *waitLease, wait bool) {
	if wait {
		grace := time.NewTimer(lockGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
		case <-w.life.Done():
			return
		}
	}
	w.mu.Lock()
	lost := one.left && one.attached == 0
	w.forgetLocked(id, one)
	w.mu.Unlock()
	if !lost {
		return
	}
	w.abandoned.Add(1)
	ctx, cancel := context.WithTimeout(w.life, revokeTimeout)
	defer cancel()
	_, _ = w.store.Revoke(ctx, id, kv.Idem{}) // or it runs out
}
