package web

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"keywatch/auth"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// A phase is what a connection is at.
type phase int32

const (
	phaseIdle    phase = iota // waiting for a request to begin
	phaseHoming               // waiting as before, and asked to be given back to an event loop
	phaseShaking              // doing the handshake of TLS, which is part of reading the first head
	phaseReading              // reading the head of a request
	phaseBody                 // reading its body: each piece has its own time
	phaseWorking              // in a handler, or given away: takes what it takes
	phaseWriting              // writing a piece of an answer
	phases
	phaseGone // closed, or handed over: for good
)

// idle reports whether no request has begun.
func (p phase) idle() bool { return p == phaseIdle || p == phaseHoming }

// answering reports whether a request is being answered.
func (p phase) answering() bool { return p == phaseWorking || p == phaseWriting }

// A conn notes what it is at. One sweep a second then looks after all of them,
// where deadlines would have to be set three times for each request.
type conn struct {
	net.Conn
	conns *connections
	// at is a phase, since the clock when it began. They are read by the sweep,
	// which does no harm if it sees one of them late: the clock moves on first.
	at    atomic.Int32
	since atomic.Int64
	// written is told of the next write.
	written atomic.Pointer[func(error)]
	// rare is what few connections need; nil while this one does not. served says that a
	// request was let in. They belong to the goroutine that serves the connection.
	rare   *connRare
	served bool
	// handed says that an event loop has handed the connection over. The lock of connections
	// guards it.
	handed bool
	// fast is whether a request of the fast path is being answered.
	fast atomic.Int32
	// shaking says that the handshake of TLS was not done. It belongs to that goroutine.
	shaking bool
	// emptied says that a read since the last request took all that the peer had sent, so
	// that the goroutine had to wait, or would have. It belongs to that goroutine.
	emptied bool
	// scan is what was read of the head at hand. It belongs to that goroutine.
	scan headScan
	// hold is what the connection is charged as while it is open. short, if not nil, is why
	// it could not be charged: then it is one of the spare connections.
	hold  ratelimit.Hold
	short *api.Failure
	// acked is what the peer had acknowledged when the sweep looked last.
	acked uint64
	// moving is what is charged for the request at hand and its answer, if charges is
	// set: bodyBytes and answerBytes. They belong to the goroutine that serves the
	// connection; holds, their sum, and began, the clock when the body began, are for
	// the sweep.
	moving                 ratelimit.Hold
	promised               bool // what it comes to must be told, whether there is room or not
	charges                bool
	bodyBytes, answerBytes int
	holds, began           atomic.Int64
}

// A connRare is what few connections need, and for a short time.
type connRare struct {
	// broken, if set, is called when the connection is closed before it was handed over.
	broken func()
	// early is what watchGone has read, given what an event loop has read and not used.
	early, given []byte
	// paid, if not nil, is what the limiter has said of the next request.
	paid *ratelimit.Decision
	// cert is what counts of the client's certificate, nil if it has shown none; proved says that it was
	// looked at. certified, if not nil, is the caller that it has proved last.
	cert      *auth.ClientCert
	proved    bool
	certified *auth.Caller
}

// noRare is for reading only.
var noRare connRare

// seldom returns what is rare, for reading only.
func (c *conn) seldom() *connRare {
	if c.rare == nil {
		return &noRare
	}
	return c.rare
}

// needRare returns what is rare.
func (c *conn) needRare() *connRare {
	if c.rare == nil {
		c.rare = new(connRare)
	}
	return c.rare
}

// takeFrom moves bytes from what was read before to b.
func takeFrom(have *[]byte, b []byte) (n int) {
	n = copy(b, *have)
	if *have = (*have)[n:]; len(*have) == 0 {
		*have = nil
	}
	return n
}

// beginBody notes that a body is read from now on.
func (c *conn) beginBody() {
	c.began.Store(c.conns.clock.Load())
	c.enter(phaseBody)
}

func (c *conn) enter(p phase) {
	c.since.Store(c.conns.clock.Load())
	c.set(p)
}

// set notes the phase, and counts the requests that are being answered. A connection that is not
// idle any more is not asked to be given back any more either: the deadline by which it was asked
// would end another wait.
func (c *conn) set(p phase) {
	for {
		old := phase(c.at.Load())
		if old == phaseGone {
			return
		}
		if !c.at.CompareAndSwap(int32(old), int32(p)) {
			continue
		}
		if old == phaseHoming {
			c.conns.stay(c)
		}
		switch {
		case p.answering() && !old.answering():
			c.conns.answering.Inc()
		case old.answering() && !p.answering():
			c.conns.answering.Dec()
		}
		return
	}
}

// Write implements net.Conn. It may take as long as the peer reads something from time to
// time: see connections.sweep.
func (c *conn) Write(b []byte) (int, error) {
	c.enter(phaseWriting)
	n, err := c.Conn.Write(b)
	c.set(phaseWorking)
	c.wrote(err)
	return n, err
}

// CloseWrite shuts down the writing side, where there is such a thing.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// UnsafeConn returns the connection itself.
func (c *conn) UnsafeConn() net.Conn { return c.Conn }

// watchGone calls gone once the peer has closed the connection, or its sending
// side, while a handler is at work and so nothing else reads. The function
// returned ends that, and says whether the peer has left. A peer that sends more,
// as in a pipeline, is not watched any more.
func (c *conn) watchGone(gone func()) (stop func() bool) {
	if len(c.seldom().given) > 0 {
		return func() bool { return false }
	}
	left := make(chan bool, 1)
	go func() {
		var b [1]byte
		n, err := c.Conn.Read(b[:])
		if n > 0 {
			rare := c.needRare()
			rare.early = append(rare.early, b[:n]...)
		}
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

// Read implements net.Conn: first what watchGone has read, and never a
// request of the fast path, which is answered here.
func (c *conn) Read(b []byte) (int, error) {
	if c.shaking {
		c.shaking = false
		if err := c.shakeHands(); err != nil {
			return 0, err
		}
	}
	if len(c.seldom().early) > 0 {
		return takeFrom(&c.rare.early, b), nil
	}
	if c.scan.bare {
		return 0, errBareLF // fasthttp waits for CR LF
	}
	for {
		n, err := c.next(b)
		c.emptied = c.emptied || n < len(b)
		if phase(c.at.Load()) == phaseBody {
			c.enter(phaseBody)
		}
		if err != nil || c.conns.answer == nil || !phase(c.at.Load()).idle() {
			c.scan.read(b[:n])
			return n, err
		}
		done, err := c.conns.answer(c, b[:n])
		if !done {
			c.scan = headScan{}
			c.scan.read(b[:n])
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// next reads what an event loop has read, then from the connection.
func (c *conn) next(b []byte) (int, error) {
	if len(c.seldom().given) > 0 {
		return takeFrom(&c.rare.given, b), nil
	}
	for {
		n, err := c.Conn.Read(b)
		if phase(c.at.Load()) != phaseHoming {
			return n, err
		}
		c.set(phaseIdle)
		var timeout net.Error
		if n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
			return n, err
		}
		if c.conns.home(c) {
			return 0, io.EOF
		}
	}
}

// looped reports whether an event loop serves the connection.
func (c *conn) looped() bool {
	_, ok := c.Conn.(*session)
	return ok
}

// yield lets other goroutines run if the peer keeps this one busy: requests that were sent
// without a wait for answers are read from a buffer, and an answer that the kernel takes is
// no wait either. Without it hundreds of such connections would each run until the scheduler
// ends their time slice, and every other request would wait for all of them.
func (c *conn) yield() {
	if !c.emptied {
		runtime.Gosched()
	}
	c.emptied = false
}

// onWrite has f called with the outcome of the next write, or with an error if
// the connection is closed before.
func (c *conn) onWrite(f func(error)) { c.written.Store(&f) }

// wrote tells the function of onWrite how a write went.
func (c *conn) wrote(err error) {
	if c.written.Load() == nil {
		return
	}
	if f := c.written.Swap(nil); f != nil {
		(*f)(err)
	}
}

// Close implements net.Conn. While a request of the fast path is being answered the
// connection is closed behind it: to fasthttp it seems idle.
func (c *conn) Close() error {
	c.hold.Close()
	if c.fast.Swap(fastClosed) == fastBusy {
		return nil
	}
	return c.Conn.Close()
}
