package ws

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"keywatch/kv"
	"keywatch/kv/bind"
	"keywatch/watch"
	"keywatch/web/api"
)

// maxRunners bounds the goroutines that run the commands of all sockets; more
// sockets with commands take turns.
const maxRunners = 1024

// A Server serves WebSockets: it knows those that are open and runs their
// commands. It is safe for concurrent use.
type Server struct {
	opts Options
	born time.Time
	// draining ends when Close begins, life when it ends.
	draining, life context.Context
	drain, kill    context.CancelFunc
	// scratches holds *watch.Scratch.
	scratches sync.Pool
	// bound keeps the leases alive that live with sockets.
	bound *bind.Keeper
	// runners run the commands, running counts the goroutines that clean up.
	runners *api.Runners[*session]
	running sync.WaitGroup

	// lockWaits counts the commands that wait for locks.
	lockWaits           atomic.Int64
	framesIn, framesOut *xsync.Counter
	closes              closeCounts
	// commands counts by operation; the last place is for those that are not known.
	commands []*xsync.Counter

	mu struct {
		sync.Mutex
		first   *session
		open    int
		closing bool
	}
	// idle is closed when no socket is open and none will be let in.
	idle chan struct{}

	closeOnce sync.Once
	closeErr  error
}

// New returns a server, which must be ended with Close. It fails if the options
// cannot be used.
func New(opts Options) (*Server, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	v := &Server{
		opts: opts.withDefaults(), born: time.Now(), bound: bind.New(opts.Door.Server()), idle: make(chan struct{}),
		framesIn: xsync.NewCounter(), framesOut: xsync.NewCounter(),
	}
	v.life, v.kill = context.WithCancel(context.Background())
	v.draining, v.drain = context.WithCancel(v.life)
	v.runners = api.NewRunners(maxRunners, (*session).runCommands)
	v.scratches.New = func() any { return new(watch.Scratch) }
	for range len(ops) + 1 {
		v.commands = append(v.commands, xsync.NewCounter())
	}
	return v, nil
}

// clock returns now on the server's clock, which no change of the time of day
// moves.
func (v *Server) clock(now time.Time) time.Duration { return now.Sub(v.born) }

// count counts a command; op is nil if it is not known.
func (v *Server) count(op *op) {
	for i := range ops {
		if op == &ops[i] {
			v.commands[i].Inc()
			return
		}
	}
	v.commands[len(ops)].Inc()
}

func (v *Server) countClose(code int) { v.closes.count(code) }

// enter takes a place for s. It fails with api.ErrTooManyStreams or kv.ErrStopping.
func (v *Server) enter(s *session) error {
	full, others := v.opts.Full(), v.opts.Others()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mu.closing {
		return kv.ErrStopping
	}
	if full || v.mu.open+others >= v.opts.Max {
		return api.ErrTooManyStreams
	}
	v.mu.open++
	if s.next = v.mu.first; s.next != nil {
		s.next.prev = s
	}
	v.mu.first = s
	return nil
}

// end closes what s has open, and gives its place back.
func (v *Server) end(s *session) {
	watches := s.giveUp()
	v.bound.Release(s)
	if len(watches) <= 1 {
		for _, w := range watches {
			w.Close()
		}
		v.leave(s)
		return
	}
	v.running.Go(func() {
		for _, w := range watches {
			w.Close()
		}
		v.leave(s)
	})
}

func (v *Server) leave(s *session) {
	s.hold.Close()
	s.leaveUnproved()
	s.who.Load().Unfollow()
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.prev == nil {
		v.mu.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	v.mu.open--
	v.idleLocked()
}

func (v *Server) idleLocked() {
	if v.mu.closing && v.mu.open == 0 {
		close(v.idle)
	}
}

// abandon ends a session that will get no socket.
func (v *Server) abandon(s *session) {
	if s.taken.CompareAndSwap(false, true) {
		s.active.claim.Stop()
		v.end(s)
	}
}

// Len returns how many sockets are open.
func (v *Server) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mu.open
}

// Drain lets no more sockets in and closes each with 1012 once its commands are answered,
// evenly over window. It does not wait for them, and leaves the rest out when ctx ends.
func (v *Server) Drain(ctx context.Context, window time.Duration) {
	api.Spread(ctx, window, v.all(true), (*session).stop)
}

// Close lets no more sockets in, closes each with 1012 once its commands are
// answered, and waits until all have ended. When ctx ends first the rest are cut
// off, and Close returns ctx's error. Leases live for their TTL after the sockets
// that they were bound to. Further calls wait for the first and return the same.
func (v *Server) Close(ctx context.Context) error {
	v.closeOnce.Do(func() { v.closeErr = v.close(ctx) })
	return v.closeErr
}

func (v *Server) close(ctx context.Context) error {
	v.drain()
	for _, s := range v.all(true) {
		s.stop()
	}
	var err error
	select {
	case <-v.idle:
	case <-ctx.Done():
		for _, s := range v.all(false) {
			s.cut()
		}
		<-v.idle
		err = ctx.Err()
	}
	v.runners.Wait()
	v.running.Wait()
	v.bound.Close(ctx)
	v.kill()
	return err
}

// all returns every session. With begin set no more are let in.
func (v *Server) all(begin bool) (all []*session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for s := v.mu.first; s != nil; s = s.next {
		all = append(all, s)
	}
	if begin && !v.mu.closing {
		v.mu.closing = true
		v.idleLocked()
	}
	return all
}
