package reactor

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"keywatch/web/tlsconn"
)

// What a socket is queued for.
const (
	queued   uint32 = 1 << iota // to have a turn with priority Answers
	told                        // to have a turn with priority Events
	closing                     // to have a turn with priority Endings
	adopted                     // new
	woken                       // Handler.Fill has something, perhaps
	timed                       // its time has come
	readable                    // the peer has sent something
	leaving                     // the peer has left: read until the end
	writable                    // the peer has read
	filled                      // a heavy Fill has ended
	aborted                     // to be closed at once
	finished                    // to be closed once all is written
	handed                      // to be handed over once all is written
	paused                      // not to be read from
	ended                       // there is nothing more to be read
	half                        // the peer has left while nothing was read from it: what is read next ends
)

// anyQueue has the bits of all priorities.
const anyQueue = queued | told | closing

// bit returns the one that says that a socket is queued with priority p.
func (p Priority) bit() uint32 { return queued << p }

// A sock is a connection without a goroutine. Its state is for everyone; the
// rest belongs to its loop, and while busy is set to the heavy call.
type sock struct {
	loop    *loop
	handler Handler
	extra   atomic.Pointer[extra]
	// unsent is what is still to be written; nil if nothing is.
	unsent *unsent
	// due is when the socket will be looked at; 0 if not at all.
	due     int64
	fd      int32
	gen     uint32
	state   atomic.Uint32
	busy    bool
	closed  bool
	lingers bool
}

// An unsent is what the kernel did not take.
type unsent struct {
	b []byte
	// moved is when it last took some.
	moved int64
}

// An extra is what few sockets need, and for a short time.
type extra struct {
	early  []byte
	failed error
	// taker gets the connection once it is handed over.
	taker func(net.Conn)
	// filled and again are what a heavy Fill returned.
	filled []byte
	again  time.Time
}

var _ Socket = (*sock)(nil)

// adoptLocked moves the connection to a descriptor of its own and has a loop own
// it.
func (r *Reactor) adoptLocked(conn net.Conn, tcp *net.TCPConn, early []byte, handler func(Socket) Handler) error {
	if err := r.startLocked(); err != nil {
		_ = conn.Close()
		return err
	}
	fd, err := duplicate(tcp)
	secured, _ := unwrap(conn).(*tlsconn.Conn)
	if err == nil && secured != nil {
		_ = secured.Detach().Close()
	}
	_ = conn.Close()
	if err != nil {
		return fmt.Errorf("adopt connection: %w", err)
	}
	// Neither is needed to be correct.
	if r.opts.SendBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, r.opts.SendBuffer)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(r.opts.WriteTimeout.Milliseconds()))
	r.next = (r.next + 1) % len(r.loops)
	s := &sock{loop: r.loops[r.next], fd: int32(fd)}
	s.state.Store(queued) // so that a wake before it has a handler does not queue it
	if secured != nil {
		s.handler = secure(secured, s, slices.Clone(early), handler)
	} else if s.handler = handler(s); len(early) > 0 {
		s.extra.Store(&extra{early: slices.Clone(early)})
	}
	r.open.Add(1)
	s.state.Or(adopted | woken | readable)
	s.loop.push(s, Answers)
	return nil
}

func duplicate(tcp *net.TCPConn) (fd int, err error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return -1, e
	}
	return fd, err
}

// post queues s for what bits say.
func (s *sock) post(bits uint32) { s.postAs(bits, Answers) }

func (s *sock) postAs(bits uint32, p Priority) {
	if s.state.Or(bits|p.bit())&p.bit() == 0 {
		s.loop.push(s, p)
	}
}

// ready is postAs for the loop itself. Who has sent something may wait for an answer.
func (s *sock) ready(bits uint32) {
	p := Events
	if bits&readable != 0 {
		p = Answers
	}
	if s.state.Or(bits|p.bit())&p.bit() == 0 {
		s.loop.turns[p].push(s)
	}
}

func (s *sock) Wake()             { s.post(woken) }
func (s *sock) WakeAs(p Priority) { s.postAs(woken, p) }
func (s *sock) Finish()           { s.post(finished) }

func (s *sock) HandOver(taker func(net.Conn)) {
	s.needExtra().taker = taker
	s.post(handed)
}

func (s *sock) Abort(err error) {
	s.extra.CompareAndSwap(nil, &extra{failed: err})
	s.post(aborted)
}

func (s *sock) Pause(stop bool) {
	if stop {
		s.state.Or(paused)
		return
	}
	s.state.And(^paused)
	s.post(readable)
}

// handle does what s is queued for, with whichever priority; its turn is that of p. It counts as queued
// with all of them until that is done, so that what is posted meanwhile does not go through the inbox.
func (s *sock) handle(p Priority, now time.Time) {
	turns := anyQueue&^s.state.Or(anyQueue) | p.bit()
	// What is kept is looked at below, whenever it can be done.
	bits := s.state.And(^(adopted | woken | timed | writable | filled))
	if s.do(bits, now); !s.rest(turns, p.bit()) {
		s.loop.turns[p].push(s)
	}
}

// rest ends the turn of s, which has the bits of turns, unless there is more to do: then it keeps that
// of next.
func (s *sock) rest(turns, next uint32) bool {
	for {
		bits := s.state.Load()
		todo := bits & (woken | timed | writable | filled | aborted)
		switch {
		case s.closed:
			todo = 0
		case s.busy:
			todo = bits & filled
		case bits&readable != 0 && bits&(paused|handed|ended) == 0, bits&leaving != 0 && bits&(paused|ended) != 0,
			bits&(finished|handed) != 0 && !s.lingers && s.unsent == nil:
			todo |= queued
		}
		left := bits &^ turns
		if todo != 0 {
			left |= next
		}
		if s.state.CompareAndSwap(bits, left) {
			return todo == 0
		}
	}
}

// do does what bits say.
func (s *sock) do(bits uint32, now time.Time) {
	switch {
	case s.closed:
		return
	case bits&adopted != 0 && !s.enter():
		return
	}
	if s.busy {
		if bits&filled == 0 {
			s.state.Or(bits & woken) // seen after the heavy call
			return
		}
		s.takeFilled(now)
		bits |= woken
	}
	switch {
	case s.closed:
	case bits&aborted != 0:
		s.close(s.failure())
	case s.lingers && bits&timed != 0:
		s.close(nil)
	default:
		s.serve(bits, now)
	}
}

// enter has the poller watch s.
func (s *sock) enter() bool {
	s.loop.open++
	if err := s.loop.poller.add(s); err != nil {
		s.close(fmt.Errorf("watch connection: %w", err))
		return false
	}
	return true
}

func (s *sock) failure() error {
	if r := s.extra.Load(); r != nil && r.failed != nil {
		return r.failed
	}
	return ErrClosed
}

// serve reads and writes what can be.
func (s *sock) serve(bits uint32, now time.Time) {
	switch {
	case bits&(paused|ended) != 0 && bits&leaving != 0:
		s.state.And(^leaving)
		s.state.Or(half)
		s.left()
	case bits&readable != 0 && bits&(paused|handed|ended) == 0:
		s.state.And(^readable)
		s.read()
	}
	if s.closed {
		return
	}
	if s.unsent != nil {
		s.flush(now, bits&writable != 0)
	}
	if s.closed || s.lingers || s.unsent != nil {
		return
	}
	if s.part(now) {
		return
	}
	// What Receive has woken is filled in this turn.
	if (bits|s.state.And(^woken))&(woken|timed) != 0 {
		s.fill(now)
	}
}

// read gives the Handler what the peer has sent. What is left is read in the
// next turn.
func (s *sock) read() {
	if r := s.extra.Load(); r != nil && len(r.early) > 0 {
		early := r.early
		r.early = nil
		s.dropExtra(r)
		s.handler.Receive(early)
	}
	l := s.loop
	if l.in == nil {
		l.in = make([]byte, readSize)
	}
	n, err := recvNow(int(s.fd), l.in)
	switch {
	case err == unix.EAGAIN:
	case err == unix.EINTR:
		s.post(readable)
	case err != 0:
		s.close(fmt.Errorf("read: %w", err))
	case n == 0:
		if s.lingers {
			s.close(nil)
			return
		}
		if a, ok := s.handler.(Answerer); ok && a.Ended() {
			s.state.Or(ended)
			return
		}
		s.close(io.EOF)
	default:
		if !s.lingers {
			s.handler.Receive(l.in[:n])
		}
		// A short read has left nothing, but perhaps the end.
		if n == len(l.in) || s.state.Load()&(leaving|half) != 0 {
			s.post(readable)
		}
	}
}

// left closes a connection whose peer has left while nothing is read from it. What it
// has sent before is of no use, unless the peer reads the answers.
func (s *sock) left() {
	code, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		s.close(fmt.Errorf("read: %w", unix.Errno(code)))
		return
	}
	if a, ok := s.handler.(Answerer); !ok || !a.Stays() {
		s.close(io.EOF)
	}
}

// fill asks the Handler for more, and sends it.
func (s *sock) fill(now time.Time) {
	if s.handler.Heavy() {
		s.busy = true
		s.loop.reactor.heavy.submit(s)
		return
	}
	b, again := s.handler.Fill(s.loop.buf[:0], now)
	s.send(b, now)
	if s.loop.buf = b; cap(b) > keepBuffer {
		s.loop.buf = nil
	}
	s.filledUp(again, now)
}

// fillHeavy is fill in another goroutine.
func (s *sock) fillHeavy() {
	b, again := s.handler.Fill(nil, time.Now())
	r := s.needExtra()
	r.filled, r.again = b, again
	s.post(filled)
}

// takeFilled continues after a heavy Fill.
func (s *sock) takeFilled(now time.Time) {
	r := s.extra.Load()
	b, again := r.filled, r.again
	r.filled, s.busy = nil, false
	s.dropExtra(r)
	s.send(b, now)
	s.filledUp(again, now)
}

func (s *sock) needExtra() *extra {
	s.extra.CompareAndSwap(nil, new(extra))
	return s.extra.Load()
}

// dropExtra lets go of r, unless it is still needed.
func (s *sock) dropExtra(r *extra) {
	if r.failed == nil && r.taker == nil && len(r.early) == 0 {
		s.extra.CompareAndSwap(r, nil)
	}
}

// filledUp sees to what comes after a Fill.
func (s *sock) filledUp(again, now time.Time) {
	switch {
	case s.closed || s.unsent != nil || s.part(now):
	case again.IsZero():
	case !again.After(now):
		s.post(woken)
	default:
		s.loop.schedule(s, s.loop.since(again))
	}
}
