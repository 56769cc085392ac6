package web

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"keywatch/web/api"

	"github.com/valyala/fasthttp"
)

// connections knows the connections with ordinary requests, so that their
// number and their patience can be bounded and none is forgotten at the end. A
// connection that became a stream is known to the streamRegistry instead.
type connections struct {
	// max is the cap. Connections above it are still accepted, up to hard, so
	// that their first request is refused with an answer.
	max, hard int
	// files bounds the connections of all kinds, of which streams returns how many
	// are streams.
	files   int
	streams func() int
	// answer answers what is read where a request begins, if it is plain.
	answer func(*conn, []byte) (bool, error)
	// limits are how long a connection may be in each phase.
	limits  [phases]time.Duration
	open    atomic.Int64
	refused atomic.Int64
	// clock is moved on by interval in each sweep, in nanoseconds. It stands
	// still while the process does, so that a pause costs nobody a connection.
	clock atomic.Int64

	mu struct {
		sync.Mutex
		closed bool
		all    map[*conn]struct{}
	}
}

// A phase is what a connection is at.
type phase int32

const (
	phaseIdle    phase = iota // waiting for a request to begin
	phaseReading              // reading a request
	phaseWorking              // in a handler, or given away: takes what it takes
	phaseWriting              // writing a piece of an answer
	phases
)

// A conn notes what it is at. One sweep a second then looks after all of them,
// where deadlines would have to be set three times for each request.
type conn struct {
	net.Conn
	conns *connections
	// at is a phase, since the clock when it began. They are read by the sweep,
	// which does no harm if it sees one of them late: the clock moves on first.
	at    atomic.Int32
	since atomic.Int64
	// broken, if set, is called when the connection is closed before it was
	// handed over. It belongs to the goroutine that serves the connection.
	broken func()
	// early is what watchGone has read; written is told of the next write.
	early   []byte
	written atomic.Pointer[func(error)]
	// plain is whether a plain request is being answered.
	plain atomic.Int32
}

func (c *conn) enter(p phase) {
	c.since.Store(c.conns.clock.Load())
	c.at.Store(int32(p))
}

// Write implements net.Conn. Each piece has its own time.
func (c *conn) Write(b []byte) (int, error) {
	c.enter(phaseWriting)
	n, err := c.Conn.Write(b)
	c.at.Store(int32(phaseWorking))
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

func (c *connections) init(o *Options) {
	c.files = o.MaxFiles
	c.max, c.hard = o.MaxConnections, o.MaxConnections+max(16, min(1024, o.MaxConnections/4))
	c.limits = [phases]time.Duration{phaseIdle: o.IdleTimeout, phaseReading: o.ReadTimeout, phaseWriting: o.WriteTimeout}
	c.mu.all = make(map[*conn]struct{})
}

// over reports whether there are more connections than the cap.
func (c *connections) over() bool { return c.open.Load() > int64(c.max) || c.all() > c.files }

// all returns the number of connections, streams included.
func (c *connections) all() int { return int(c.open.Load()) + c.streams() }

// working counts the connections whose request is being answered.
func (c *connections) working() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for own := range c.mu.all {
		if p := phase(own.at.Load()); p == phaseWorking || p == phaseWriting {
			n++
		}
	}
	return n
}

// changed is fasthttp's ConnState hook.
func (c *connections) changed(nc net.Conn, state fasthttp.ConnState) {
	own, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateNew:
		// The first byte counts as part of the first request.
		own.enter(phaseReading)
		c.add(own)
	case fasthttp.StateActive:
		own.enter(phaseReading)
	case fasthttp.StateIdle:
		own.enter(phaseIdle)
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		c.remove(own)
		if state == fasthttp.StateClosed && own.broken != nil {
			own.broken()
		}
	}
}

func (c *connections) add(own *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		_ = own.Close()
		return
	}
	c.mu.all[own] = struct{}{}
	c.open.Store(int64(len(c.mu.all)))
}

func (c *connections) remove(own *conn) {
	c.forget(own)
	own.wrote(net.ErrClosed) // nothing will be
}

func (c *connections) forget(own *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.all, own)
	c.open.Store(int64(len(c.mu.all)))
}

// closeAll closes every connection there is and every one to come.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.closed = true
	for own := range c.mu.all {
		_ = own.Close()
		_ = own.Conn.Close() // whatever is being answered on it
	}
}

// interval is how often to sweep: a quarter of the shortest limit, at most a
// second.
func (c *connections) interval() time.Duration {
	shortest := 4 * time.Second
	for _, limit := range c.limits {
		if limit > 0 {
			shortest = min(shortest, limit)
		}
	}
	return max(shortest/4, time.Millisecond)
}

// watchOver sweeps until ctx ends.
func (c *connections) watchOver(ctx context.Context) {
	tick := time.NewTicker(c.interval())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.sweep()
		}
	}
}

// sweep ends what has taken too long. The connection's own goroutine sees a
// timeout, and does the rest.
func (c *connections) sweep() {
	now := time.Duration(c.clock.Add(int64(c.interval())))
	past := time.Unix(1, 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	for own := range c.mu.all {
		p := phase(own.at.Load())
		if limit := c.limits[p]; limit == 0 || now-time.Duration(own.since.Load()) <= limit {
			continue
		}
		if p == phaseWriting {
			_ = own.SetWriteDeadline(past)
		} else {
			_ = own.SetReadDeadline(past)
		}
	}
}

// pokeAfter is how long connections that are silent at shutdown are left to
// finish sending a request.
const pokeAfter = 500 * time.Millisecond

// pokeIdle ends the wait for a request on all connections, pokeAfter from now
// and then again, because fasthttp itself leaves fresh ones alone for seconds.
// A handler at work does not notice. The function returned ends it.
func (c *connections) pokeIdle(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(pokeAfter)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.poke()
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (c *connections) poke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for own := range c.mu.all {
		_ = own.SetReadDeadline(time.Unix(1, 0))
	}
}

// acceptPause is how long to wait for a descriptor where there is none.
const acceptPause = 20 * time.Millisecond

// spareFiles is how many connections above Options.MaxFiles are accepted, so that
// they are refused with an answer.
const spareFiles = 64

// A capped listener refuses connections above the hard cap with a fixed
// answer, unread.
type capped struct {
	net.Listener
	conns *connections
	// parting counts the refused connections that are not closed yet.
	parting atomic.Int64
}

// Accept returns the next connection within the cap. That there is no descriptor
// for one passes; to the server it would be the end.
func (l *capped) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) {
			time.Sleep(acceptPause)
			continue
		}
		if err != nil {
			return nil, err
		}
		if l.conns.open.Load() < int64(l.conns.hard) && l.conns.all() < l.conns.files+spareFiles {
			return &conn{Conn: nc, conns: l.conns}, nil
		}
		l.conns.refused.Add(1)
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write(refusal)
		l.part(nc)
	}
}

// part closes nc, whose request was not read. Done at once that would take the
// answer back, so a few have a moment to read it.
func (l *capped) part(nc net.Conn) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || l.parting.Load() >= spareFiles || half.CloseWrite() != nil {
		_ = nc.Close()
		return
	}
	l.parting.Add(1)
	time.AfterFunc(time.Second, func() {
		l.parting.Add(-1)
		_ = nc.Close()
	})
}

// refusal is the answer above the hard cap. Its buffer space is that of a new
// socket, so writing it does not wait.
var refusal = fixedAnswer(api.CodeTooManyConnections, "too many connections")
