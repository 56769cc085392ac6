package web

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/reactor"
)

const (
	// sessionAhead is how many requests of one connection may wait for their answers to be
	// sent. Others have a turn then.
	sessionAhead = 16
	// sessionRequest is the largest request that an event loop waits for.
	sessionRequest = 16 << 10
)

// A session is a connection on an event loop. It answers the requests of the fast path that
// need no wait: reads at once, writes once they are durable. With the first other request the
// connection is handed over to a goroutine, together with all bytes that were read and not
// used. While it is idle it owns neither goroutine nor buffer.
//
// It is the net.Conn of its conn, so that a deadline in the past is what ends its wait.
// Its fields belong to the reactor's calls, of which there is one at a time.
type session struct {
	s      *Server
	own    *conn
	sock   reactor.Socket
	remote netip.AddrPort
	// in is what was read and not used.
	in []byte
	// first to last are the requests whose answers were not sent, ahead how many they are, and
	// pending those of them whose writes are under way.
	first, last *fastPath
	ahead       int16
	pending     int16
	// unsent is how many bytes the reactor keeps.
	unsent int32
	// leaving says that the connection is handed over once all is answered, over that it ends
	// then, paused that nothing is read.
	leaving, over, paused bool
	// ended says that the peer sends nothing more.
	ended bool
	// late says that the time to wait for the peer is over.
	late atomic.Bool
	// barrier is what reads wait for, or what holds for those that are next; nil for none.
	barrier *api.Barrier
}

var (
	_ reactor.Answerer = (*session)(nil)
	_ net.Conn         = (*session)(nil)
)

// loops has an event loop serve own, if it can.
func (s *Server) loops(own *conn) bool {
	if s.front == nil || !s.front.Polls(own.Conn) {
		return false
	}
	own.enter(phaseReading) // the first byte counts as part of the first request
	s.adopt(own, own.Conn)
	return true
}

// adopt hands nc to an event loop, as what own stands for. If that fails nc is closed.
func (s *Server) adopt(own *conn, nc net.Conn) {
	n := &session{s: s, own: own}
	if addr, ok := nc.RemoteAddr().(*net.TCPAddr); ok { // not where the peer has left
		n.remote = addr.AddrPort()
	}
	own.Conn = n
	err := s.front.Adopt(nc, nil, func(sock reactor.Socket) reactor.Handler {
		n.sock = sock
		s.conns.add(own)
		return n
	})
	if err != nil {
		s.opts.Logger.Debug("connection not served", "err", err)
		s.conns.remove(own)
	}
}

// home gives an idle connection that a goroutine serves back to an event loop. It
// reports false if there is no memory for its record.
func (c *connections) home(old *conn) bool {
	fresh, f := c.admit(old.Conn)
	if f != nil || fresh.short != nil {
		if fresh != nil {
			c.spares.Add(-1)
			fresh.hold.Close()
		}
		return false
	}
	fresh.served = true
	fresh.enter(phaseIdle)
	c.adopt(fresh, old.Conn)
	return true
}

// Receive implements reactor.Handler.
func (n *session) Receive(p []byte) {
	if n.over {
		return
	}
	n.late.Store(false)
	if len(n.in) > 0 || n.leaving {
		n.in = append(n.in, p...)
		n.readOn()
	} else if used := n.parse(p); used < len(p) {
		n.in = slices.Clone(p[used:])
	}
	n.sock.Wake()
}

// readOn continues with what was read before.
func (n *session) readOn() {
	used := n.parse(n.in)
	if n.in = n.in[used:]; len(n.in) == 0 {
		n.in = nil
	}
}

// parse begins the requests in b that may be begun now, and returns how many bytes they have.
func (n *session) parse(b []byte) (used int) {
	for used < len(b) && n.listens() {
		size, v := n.begin(b[used:])
		used += size
		n.uncover(size)
		if n.leaving = n.leaving || v == fastOther; size == 0 {
			break
		}
	}
	n.pause(used < len(b) && !n.waits())
	return used
}

// waits reports whether what was not used needs more from the peer.
func (n *session) waits() bool {
	return n.listens() && n.ahead == 0 && phase(n.own.at.Load()) == phaseReading
}

// listens reports whether a request may be begun. What is charged is charged for one request.
func (n *session) listens() bool {
	return !n.leaving && !n.over && n.unsent == 0 && n.ahead < sessionAhead && !n.own.charges && !n.barrier.Waits() && !n.deciding()
}

// pause stops or resumes reading.
func (n *session) pause(stop bool) {
	if stop != n.paused {
		n.paused = stop
		n.sock.Pause(stop)
	}
}

// begin begins the request that b begins with. It returns its size, 0 if it is not begun, and
// what is known of it. What reads sees the writes before it, so it waits until they are done.
func (n *session) begin(b []byte) (size int, v verdict) {
	s := n.s
	p := s.fastPaths.Get().(*fastPath)
	size, v = p.head.read(b)
	switch {
	case v == fastPartial && len(b) >= sessionRequest, v == fastWhole && (size > sessionRequest || len(p.head.body) > s.opts.MaxBody):
		v = fastOther
	case v == fastPartial && n.ahead == 0:
		n.reading()
	case v == fastWhole && n.pending > 0 && (p.head.method[0] == 'G' || p.head.batch()):
		v = fastPartial
	case v == fastWhole && n.asks(p, b):
		v = fastPartial
	}
	if v == fastWhole && n.answer(p) {
		return size, v
	}
	p.clear()
	s.fastPaths.Put(p)
	if v == fastWhole {
		v = fastOther
	}
	return 0, v
}

// reading notes that a part of a request has come.
func (n *session) reading() {
	if phase(n.own.at.Load()) != phaseReading {
		n.own.enter(phaseReading)
	}
}

// answer answers the request in p, or has its write begun. It reports false if another reader
// is to answer it, and nothing was done.
func (n *session) answer(p *fastPath) bool {
	s := n.s
	p.conn.conn = n.own
	if p.head.batch() || s.door.Table() != nil { // what a batch names, or is decided again, outlasts the buffer
		p.body = append(p.body[:0], p.head.body...)
		p.head.body = p.body
	}
	p.fill()
	r := s.acquire(&p.ctx, nil)
	r.fast, r.prompt, r.after = p, true, n.barrier
	n.own.enter(phaseWorking)
	r.common()
	switch err := r.attempt((*request).answer); err {
	case nil:
		n.over = p.ctx.Response.ConnectionClose()
		r.end()
	case errBegun:
		p.request = r
		n.pending++
		r.begun.Notify(n.sock)
	default:
		n.pass(p)
		s.release(r)
		return false
	}
	s.metrics.fast.Inc()
	n.push(p)
	return true
}

// pass leaves the request in p to another reader, which is not to ask the limiter again.
func (n *session) pass(p *fastPath) {
	if p.paid.Limit > 0 {
		paid := p.paid
		n.own.needRare().paid = &paid
	}
	n.own.settle()
}

// Fill implements reactor.Handler.
func (n *session) Fill(b []byte, now time.Time) ([]byte, time.Time) {
	n.barrier.Look(now)
	b = n.send(b, now)
	if len(n.in) > 0 && n.listens() {
		n.readOn()
		b = n.send(b, now)
	}
	switch {
	case n.first == nil:
		return b, n.settle(now, len(b) > 0)
	case n.first.request == nil:
		return b, now
	case n.first.slow != nil:
		return b, time.Time{} // its goroutine wakes the socket
	}
	return b, n.first.request.givenUp()
}

// settle sees to what comes next where all is answered, of which something is sent now or
// nothing, and returns when to look again.
func (n *session) settle(now time.Time, sends bool) (again time.Time) {
	n.own.settle()
	if n.barrier.Waits() {
		return n.barrier.Until()
	}
	late := n.late.Swap(false)
	ends := n.over || len(n.in) == 0 && !n.leaving && (late || n.ended || n.s.stopping.Load())
	switch {
	case ends && sends:
		n.over = true
		n.sock.Finish()
	case ends:
		n.over = true
		n.sock.Abort(net.ErrClosed)
	case n.leaving || late || n.ended: // what is cut off is for fasthttp to judge
		if n.reading(); n.leaving {
			n.own.enter(phaseReading) // a request begins
		}
		n.leaving = true
		n.sock.HandOver(n.handOver)
	case n.paused && len(n.in) > 0:
		return now // more of what was read can be answered
	case len(n.in) > 0:
		n.reading()
	default:
		if phase(n.own.at.Load()) == phaseWorking {
			n.own.enter(phaseIdle)
		}
		n.pause(false)
	}
	return again
}

// handOver has a goroutine serve the connection from now on.
func (n *session) handOver(nc net.Conn) {
	own := n.own
	own.needRare().given, n.in = n.in, nil
	n.s.conns.replace(own, nc)
	n.s.handed.Add(1)
	n.s.background.Go(func() {
		defer n.s.handed.Add(-1)
		_ = n.s.http.ServeConn(own)
	})
}

// Heavy implements reactor.Handler.
func (n *session) Heavy() bool { return false }

// Ended implements reactor.Answerer: what the peer has asked before is answered.
func (n *session) Ended() bool {
	n.ended = true
	n.sock.Wake()
	return true
}

// Stays implements reactor.Answerer.
func (n *session) Stays() bool { return true }

// Unsent implements reactor.Handler.
func (n *session) Unsent(size int) error {
	n.unsent = int32(size)
	return n.own.hold.Set(ratelimit.Answers, int64(max(0, size-api.FreeBytes)))
}

// Closed implements reactor.Handler.
func (n *session) Closed(error) {
	n.over = true
	n.s.conns.remove(n.own)
	n.in, n.first, n.last = nil, nil, nil
}

// Wake-ups of the sweep, and of what ends the server.

// SetReadDeadline implements net.Conn. A deadline in the past ends the wait for the peer.
func (n *session) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		n.late.Store(true)
		n.sock.Wake()
	}
	return nil
}

// Close implements net.Conn.
func (n *session) Close() error {
	n.sock.Abort(net.ErrClosed)
	return nil
}

func (n *session) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(n.remote) }
func (n *session) LocalAddr() net.Addr              { return n.RemoteAddr() }
func (n *session) Read([]byte) (int, error)         { return 0, io.ErrNoProgress }
func (n *session) Write([]byte) (int, error)        { return 0, io.ErrShortWrite }
func (n *session) SetDeadline(t time.Time) error    { return n.SetReadDeadline(t) }
func (n *session) SetWriteDeadline(time.Time) error { return nil }
