package resp

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"keywatch/kv/bind"
	"keywatch/ratelimit"
	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/reactor"
	"keywatch/web/resp/wire"
)

const (
	// maxRunners bounds the goroutines that run what may wait; further commands take turns.
	maxRunners = 1024
	// sessionCost is about what an idle connection takes in memory, in bytes.
	sessionCost = 1 << 10
	// acceptPause is how long to wait for a descriptor where there is none.
	acceptPause = 20 * time.Millisecond
)

// A Server serves clients of Redis. It is safe for concurrent use.
type Server struct {
	opts Options
	born time.Time
	// life ends with Close, shaking, under which handshakes of TLS are done, when Close begins.
	life, shaking     context.Context
	kill, stopShaking context.CancelFunc
	// bound keeps the leases alive that live with connections.
	bound *bind.Keeper
	clock wallClock
	// runners run the commands that may wait, running counts other goroutines.
	runners *api.Runners[func()]
	running sync.WaitGroup

	ids               atomic.Uint64
	accepted, refused atomic.Uint64
	calls             []*xsync.Counter // by command, as in the table
	failed            *xsync.Counter
	commands          []command
	byName            map[string]*command
	loaded            loaded
	cursors           cursors
	scratches         sync.Pool // of *watch.Scratch
	settings          settings
	names             names
	subscribed        subscribed
	watching          watching
	tracking          tracking
	// between, if not nil, is called where a caller may lose a right unseen: by tests.
	between atomic.Pointer[func(id uint64)]

	mu struct {
		sync.Mutex
		first     *session
		open      int
		closing   bool
		listeners map[net.Listener]struct{}
	}
	idle chan struct{} // closed when no connection is open and none will be let in
	once sync.Once
	err  error
}

// New returns a server, which must be ended with Close. It fails if the options cannot be used.
func New(opts Options) (*Server, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	v := &Server{
		opts: opts.withDefaults(), born: time.Now(), bound: bind.New(opts.Door.Server()), idle: make(chan struct{}),
		failed: xsync.NewCounter(),
	}
	v.life, v.kill = context.WithCancel(context.Background())
	v.shaking, v.stopShaking = context.WithCancel(v.life)
	v.commands, v.byName = newCommands(), make(map[string]*command)
	for i := range v.commands {
		v.commands[i].index = i
		v.commands[i].need = needs[v.commands[i].name]
		v.byName[v.commands[i].name] = &v.commands[i]
		v.calls = append(v.calls, xsync.NewCounter())
	}
	v.runners = api.NewRunners(maxRunners, func(job func()) { job() })
	v.settings.init()
	v.names.escape = v.opts.EscapeKeys
	v.scratches.New = func() any { return new(watch.Scratch) }
	v.tracking.init(v)
	v.mu.listeners = make(map[net.Listener]struct{})
	return v, nil
}

// Serve accepts connections until Close is called, and returns nil then.
func (v *Server) Serve(ln net.Listener) error {
	v.mu.Lock()
	if v.mu.closing {
		v.mu.Unlock()
		return ln.Close()
	}
	v.mu.listeners[ln] = struct{}{}
	v.running.Add(1)
	v.mu.Unlock()
	defer v.running.Done()
	for {
		conn, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil && temporary(err):
			time.Sleep(acceptPause)
		case err != nil:
			return err
		default:
			v.adopt(conn)
		}
	}
}

// temporary reports whether accepting may work again later.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// adopt begins a session, or refuses the connection with an answer.
func (v *Server) adopt(conn net.Conn) {
	v.accepted.Add(1)
	s := &session{server: v, proto: wire.RESP2, id: v.ids.Add(1)}
	s.peer, s.local, s.began = addressOf(conn.RemoteAddr().String()), addressOf(conn.LocalAddr().String()), v.since()
	caller := ""
	s.caller, s.exempt = v.opts.callerOf(s.peer)
	if !s.exempt {
		caller = s.caller.Value()
	}
	s.hold = v.opts.Budget.Open(caller)
	cost := int64(sessionCost)
	if v.opts.TLS != nil {
		cost += handshakeCost
	}
	err := s.hold.Grow(ratelimit.Connections, cost)
	if err == nil {
		err = s.beginCaller()
	}
	if err == nil {
		err = v.enter(s)
	}
	if err != nil {
		s.leaveCaller()
		s.hold.Close()
		v.refuse(conn, err)
		return
	}
	if v.opts.TLS != nil {
		v.running.Go(func() { v.secure(s, conn) })
		return
	}
	v.serve(s, conn)
}

// refuse closes a connection that is not let in, with an answer unless that would take a handshake.
func (v *Server) refuse(conn net.Conn, err error) {
	v.refused.Add(1)
	answer := wire.AppendError(nil, v.refuseConnection(err))
	if v.opts.TLS == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(answer)
	}
	_ = conn.Close()
}

// serve has the reactor serve a session.
func (v *Server) serve(s *session, conn net.Conn) {
	if err := v.opts.Reactor.Adopt(conn, nil, s.attach); err != nil {
		v.opts.Logger.Warn("take over a connection", "err", err)
		if s.taken.CompareAndSwap(false, true) {
			v.leave(s)
		}
	}
}

func (v *Server) refuseConnection(err error) string {
	if errors.Is(err, api.ErrTooManyStreams) {
		v.opts.Refused(api.CodeTooManyConnections)
		return "ERR max number of clients reached"
	}
	return v.explain(err)
}

// enter takes a place for s. It fails with api.ErrTooManyStreams or errStopping.
func (v *Server) enter(s *session) error {
	full, others := v.opts.Full(), v.opts.Others()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mu.closing {
		return errStopping
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

// leave gives the place of s back.
func (v *Server) leave(s *session) {
	v.bound.Release(s)
	s.leaveCaller()
	s.hold.Close()
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
	if v.mu.closing && v.mu.open == 0 {
		close(v.idle)
	}
}

// sessions returns the sessions that are open, the oldest first.
func (v *Server) sessions() (all []*session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for s := v.mu.first; s != nil; s = s.next {
		all = append(all, s)
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// since returns the nanoseconds since the server began, by a clock that no change of the time of
// day moves.
func (v *Server) since() int64 { return int64(time.Since(v.born)) }

// Len returns how many connections are open.
func (v *Server) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mu.open
}

// Drain lets no more connections in, and closes those that are open once what they have sent is
// answered, evenly over window. It returns when all were told, or ctx ends.
func (v *Server) Drain(ctx context.Context, window time.Duration) {
	v.mu.Lock()
	for ln := range v.mu.listeners {
		_ = ln.Close()
	}
	v.mu.Unlock()
	api.Spread(ctx, window, v.sessions(), (*session).stop)
}

// Close lets no more connections in, closes each once what it has sent is answered, and waits
// until all have ended. When ctx ends first the rest are cut off, and Close returns ctx's
// error. Further calls wait for the first and return the same.
func (v *Server) Close(ctx context.Context) error {
	v.once.Do(func() { v.err = v.close(ctx) })
	return v.err
}

func (v *Server) close(ctx context.Context) (err error) {
	v.mu.Lock()
	v.mu.closing = true
	for ln := range v.mu.listeners {
		_ = ln.Close()
	}
	if v.mu.open == 0 {
		close(v.idle)
	}
	v.mu.Unlock()
	v.stopShaking()
	for _, s := range v.sessions() {
		s.stop()
	}
	select {
	case <-v.idle:
	case <-ctx.Done():
		err = ctx.Err()
		for _, s := range v.sessions() {
			s.cut()
		}
	}
	v.kill()
	v.bound.Close(ctx)
	<-v.idle
	v.runners.Wait()
	v.running.Wait()
	return err
}

// deadline returns what a command waits for the log under.
func (v *Server) deadline() context.Context { return v.opts.Deadlines.Context() }

var (
	_ reactor.Answerer = (*session)(nil)
	_ reactor.Holder   = (*session)(nil)
)
