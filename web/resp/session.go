package resp

import (
	"errors"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web/reactor"
	"keywatch/web/resp/wire"
)

const (
	// maxAhead is how many writes of one connection may be ahead of the log.
	maxAhead = 1024
	// maxReplies is how many replies of one connection may wait for it, and maxShown how many
	// bytes they may show; beyond either it is closed.
	maxReplies, maxShown = 1 << 20, 256 << 20
	// freeBytes is what a connection may take for what it reads that is not charged.
	freeBytes = 2 << 10
	// chargeStep is what is charged at once.
	chargeStep = 16 << 10
)

// errFlooded is why a connection is closed whose client reads nothing of what it asked for.
var errFlooded = errors.New("the client does not read its replies")

// A session is one connection. The fields up to mu belong to the calls of the reactor, of which
// there is one at a time. An idle session owns no goroutine and no buffer.
type session struct {
	server *Server
	sock   reactor.Socket
	// active is nil while the session is idle.
	*active
	proto wire.Proto
	// closing is set once the connection is to end, paused while nothing is read, ended that the client
	// sends nothing more, off that replies are not sent, heavy that the next Fill may do what takes long.
	closing, over, paused, ended, off, heavy bool
	// stale says that seen is the standing of another caller, unproved that the caller has proved nothing
	// yet, and may do nothing before, exempt that it is not limited.
	stale, unproved, exempt bool
	// skip counts replies that are not sent.
	skip int32
	// charged is what is charged of what is kept; unsent is what the reactor keeps, answersCharged what is
	// charged of that and of replies; in bytes.
	charged, unsent, answersCharged int32
	// seen is the standing of the caller that what is open was allowed under last.
	seen atomic.Uint32
	// what is nil while the connection has neither subscriptions nor tracking.
	what atomic.Pointer[pushes]
	// who is the caller that the credential proves; nil where there is no authentication.
	who atomic.Pointer[auth.Caller]
	// proof is the client's certificate, nil if it has shown none.
	proof *proof

	id          uint64
	began       int64 // nanoseconds since the server began
	peer, local address
	caller      unique.Handle[string]
	hold        ratelimit.Hold
	taken       atomic.Bool
	attached    atomic.Bool
	// gone is set when the connection ends, left when the client has closed its sending side;
	// onGone, guarded by mu, is called then.
	gone, left atomic.Bool
	stopping   atomic.Bool
	prev, next *session // in the server's list

	mu struct {
		sync.Mutex
		// result is what a job has come to; nil while none has ended.
		result *reply
		// The rest is what others may ask, or do. command and sub are one more than the places of the
		// last command and its subcommand in their tables; 0 is none.
		about        *about
		onGone       func()
		lastActive   int64 // nanoseconds since the server began
		queued       int32
		command, sub int16
		proto        wire.Proto
	}
}

// An about is what few connections say of themselves.
type about struct{ name, libName, libVersion, flags string }

// aboutLocked returns what the connection says of itself, which may be new; mu is held.
func (s *session) aboutLocked() *about {
	if s.mu.about == nil {
		s.mu.about = new(about)
	}
	return s.mu.about
}

// attach gives the session its socket.
func (s *session) attach(sock reactor.Socket) reactor.Handler {
	s.sock = sock
	s.attached.Store(true)
	if s.stopping.Load() || s.unproved {
		sock.Wake()
	}
	return s
}

// stop has the session answer what it has read, and end.
func (s *session) stop() {
	s.stopping.Store(true)
	if s.attached.Load() {
		s.sock.Wake()
	}
}

// cut ends the connection at once.
func (s *session) cut() {
	if s.attached.Load() {
		s.sock.Abort(kv.ErrStopping)
	}
}

// Wake implements kv.Waker.
func (s *session) Wake() {
	if s.attached.Load() {
		s.sock.Wake()
	}
}

// Heavy implements reactor.Handler.
func (s *session) Heavy() bool { return s.heavy }

// Receive implements reactor.Handler.
func (s *session) Receive(p []byte) {
	if s.over || s.closing {
		return
	}
	s.activate()
	if len(s.unread) > 0 {
		s.unread = append(s.unread, p...)
		s.readOn()
	} else if n := s.parse(p); n < len(p) {
		s.unread = slices.Clone(p[n:])
	}
	s.settleRead()
	s.sock.Wake()
}

// readOn parses what had to wait.
func (s *session) readOn() {
	if len(s.unread) == 0 || !s.listens() {
		return
	}
	unread := s.unread
	s.unread = nil
	if n := s.parse(unread); n < len(unread) {
		s.unread = unread[n:]
	}
}

// settleRead stops or resumes reading, and charges what is kept.
func (s *session) settleRead() {
	wait := len(s.unread) > 0 && !s.closing
	if wait != s.paused {
		s.paused = wait
		s.sock.Pause(wait)
	}
	n := int32(cap(s.unread) + s.in.Pending())
	if n = (n + chargeStep - 1) / chargeStep * chargeStep; n <= freeBytes {
		n = 0
	}
	if n == s.charged {
		return
	}
	if err := s.hold.Set(ratelimit.Requests, int64(n)); err != nil {
		s.refuseAll(err)
		return
	}
	s.charged = n
}

// refuseAll answers with err and ends the connection.
func (s *session) refuseAll(err error) {
	s.say(wire.AppendError(nil, s.server.explain(err)))
	s.closing = true
	s.unread = nil
	s.in.Drop()
}

// listens reports whether the next command may be looked at.
func (s *session) listens() bool {
	return !s.blocked && !s.closing && !s.over && s.ahead < maxAhead
}

// parse runs the commands in p as long as it may, and returns how many bytes it has used.
func (s *session) parse(p []byte) (n int) {
	for n < len(p) && s.listens() {
		q, used, ok, err := s.in.Next(p[n:])
		n += used
		s.uncover(used)
		if err != nil {
			s.say(wire.AppendError(nil, "ERR "+err.Error()))
			s.closing = true
			return len(p)
		}
		if !ok {
			break
		}
		if s.behind = len(p) - n; len(q.Args) > 0 {
			s.handle(&q)
		}
	}
	s.fresh = false
	if s.closing {
		return len(p)
	}
	return n
}

// handle runs one command.
func (s *session) handle(q *wire.Request) {
	defer s.recovered(q.Args[0], s.replies.len())
	s.dispatch(q)
}

// recovered ends a command that panics: it fails, not the server. before is how many replies were
// queued before it.
func (s *session) recovered(name []byte, before int) {
	p := recover()
	if p == nil {
		return
	}
	s.server.opts.Logger.Error("command panicked", "command", string(name), "panic", p, "stack", string(debug.Stack()))
	if s.replies.len() == before {
		s.say(wire.AppendError(nil, "ERR internal error"))
	}
}

// Fill implements reactor.Handler.
func (s *session) Fill(b []byte, now time.Time) (_ []byte, again time.Time) {
	heavy := s.heavy
	s.heavy = false
	s.activate()
	defer s.settleDown()
	s.agreed(now)
	s.takeResult()
	unproved := s.endUnproved()
	b, more := s.render(b)
	s.readOn()
	s.settleRead()
	if !more {
		b, more = s.render(b)
	}
	if (s.ended || s.stopping.Load()) && len(s.unread) == 0 && !s.blocked {
		s.closing = true
	}
	b = s.recheck(b)
	s.between()
	b = s.tell(b)
	b, again = s.streamEvents(b, now, heavy)
	again = sooner(again, unproved)
	if s.closing && s.replies.len() == 0 && !s.blocked {
		s.over = true
		s.gone.Store(true) // who is told in another's place is told no more
		s.endPushes()
		s.sock.Finish()
		return b, time.Time{}
	}
	if more || s.listens() && len(s.unread) > 0 {
		s.sock.Wake()
	}
	return b, sooner(again, s.again())
}

// abort has the connection cut because of err, although it may read nothing. It may be called by
// anybody.
func (s *session) abort(err error) {
	if s.attached.Load() {
		s.sock.Abort(err)
	}
}

// takeResult takes what a job has come to.
func (s *session) takeResult() {
	if !s.blocked {
		return
	}
	s.mu.Lock()
	done := s.mu.result
	s.mu.result = nil
	s.mu.Unlock()
	if done != nil {
		r := *done
		s.blocked = false
		if r.rest != nil {
			s.wrote(r.rest.result.Rev)
		}
		if r.then != nil {
			r.then()
			r.then = nil
		}
		s.silently(s.jobQuiet, func() { s.push(r) })
	}
}

// Unsent implements reactor.Handler.
func (s *session) Unsent(n int) error {
	s.unsent = int32(min(n, math.MaxInt32))
	return s.chargeAnswers()
}

// Holds implements reactor.Holder.
func (s *session) Holds(n int) error {
	return s.hold.Set(ratelimit.Connections, int64(sessionCost+n))
}

// chargeAnswers charges the replies that the client has not read. It fails with a
// *ratelimit.FullError.
func (s *session) chargeAnswers() error {
	held := int(s.unsent)
	if s.active != nil {
		held += s.held
	}
	n := int32(held / chargeStep * chargeStep)
	if n == s.answersCharged {
		return nil
	}
	err := s.hold.Set(ratelimit.Answers, int64(n))
	if err == nil {
		s.answersCharged = n
	}
	return err
}

// Closed implements reactor.Handler.
func (s *session) Closed(err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		s.server.opts.Logger.Debug("connection ended", "err", err)
	}
	s.over = true
	s.activate()
	s.endPushes()
	s.unwatch()
	s.active = nil
	s.gone.Store(true)
	s.mu.Lock()
	onGone := s.mu.onGone
	s.mu.Unlock()
	if onGone != nil {
		onGone()
	}
	if s.taken.CompareAndSwap(false, true) {
		s.server.leave(s)
	}
}
