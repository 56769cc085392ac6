package web

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// connections knows the connections with ordinary requests, so that their
// number can be bounded and none is forgotten at the end. A connection that
// became a stream is known to the streamRegistry instead.
type connections struct {
	// max is the cap. Connections above it are still accepted, up to hard, so
	// that their first request is refused with an answer.
	max, hard int
	open      atomic.Int64
	refused   atomic.Int64

	mu struct {
		sync.Mutex
		closed bool
		all    map[net.Conn]struct{}
	}
}

func (c *connections) init(most int) {
	c.max, c.hard = most, most+max(16, min(1024, most/4))
	c.mu.all = make(map[net.Conn]struct{})
}

// over reports whether there are more connections than the cap.
func (c *connections) over() bool { return c.open.Load() > int64(c.max) }

// changed is fasthttp's ConnState hook.
func (c *connections) changed(conn net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateNew:
		c.add(conn)
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		c.remove(conn)
	}
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		_ = conn.Close()
		return
	}
	c.mu.all[conn] = struct{}{}
	c.open.Store(int64(len(c.mu.all)))
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.all, conn)
	c.open.Store(int64(len(c.mu.all)))
}

// closeAll closes every connection there is and every one to come.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.closed = true
	for conn := range c.mu.all {
		_ = conn.Close()
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
			case now := <-tick.C:
				c.poke(now)
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (c *connections) poke(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.mu.all {
		_ = conn.SetReadDeadline(now)
	}
}

// A capped listener refuses connections above the hard cap with a fixed
// answer, unread.
type capped struct {
	net.Listener
	conns *connections
}

// Accept returns the next connection within the cap.
func (l *capped) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.conns.open.Load() < int64(l.conns.hard) {
			return conn, err
		}
		l.conns.refused.Add(1)
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(refusal)
		_ = conn.Close()
	}
}

// refusal is the answer above the hard cap. Its buffer space is that of a new
// socket, so writing it does not wait.
var refusal = fixedAnswer(CodeTooManyConnections, "too many connections")
