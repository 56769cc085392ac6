package web

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"
	"github.com/valyala/fasthttp"

	"keywatch/ratelimit"
	"keywatch/web/api"
)

// connections knows the connections with ordinary requests, so that their
// number and their deadlines can be bounded and none is forgotten at the end. A
// connection that became a stream is known to the streamRegistry instead.
type connections struct {
	// max is the cap. Connections above it are still accepted, up to hard, so
	// that their first request is refused with an answer.
	max, hard int
	// files bounds the connections of all kinds, of which streams returns how many
	// are streams.
	files   int
	streams func() int
	// answer answers what is read where a request begins, if the fast path takes it.
	answer func(*conn, []byte) (bool, error)
	// limits are how long a connection may be in each phase.
	limits [phases]time.Duration
	// budget is what connections are charged to, name for whom those of a peer count.
	budget *ratelimit.Budget
	cost   int64         // of each of them
	wait   time.Duration // for room in it
	name   func(net.Addr) string
	open   atomic.Int64
	// spares counts the connections that there was no memory for.
	spares  atomic.Int64
	refused atomic.Int64
	// homeAfter is how long a connection that was handed over is idle until an event loop
	// serves it again, which adopt sees to.
	homeAfter time.Duration
	adopt     func(*conn, net.Conn)
	// refuse counts a connection that is refused unread, by its code.
	refuse func(api.Code)
	// handshakes counts those of TLS, debug writes down why one failed.
	handshakes handshakes
	debug      func(text string, args ...any)
	// answering counts the connections whose request is being answered; striped,
	// because every request counts.
	answering *xsync.Counter
	// clock is moved on by interval in each sweep, in nanoseconds. It stands
	// still while the process does, so that a pause ends no connection.
	clock atomic.Int64

	mu struct {
		sync.Mutex
		closed bool
		all    map[*conn]struct{}
	}
}

func (c *connections) init(o *Options) {
	c.files = o.MaxFiles
	c.max, c.hard = o.MaxConnections, o.MaxConnections+max(16, min(1024, o.MaxConnections/4))
	c.limits = [phases]time.Duration{
		phaseIdle: o.IdleTimeout, phaseHoming: o.IdleTimeout, phaseShaking: o.ReadTimeout, phaseReading: o.ReadTimeout, phaseBody: o.ReadTimeout, phaseWriting: o.WriteTimeout,
	}
	c.homeAfter = min(time.Second, o.IdleTimeout/4)
	c.budget, c.wait = o.Budget, o.BudgetWait
	if c.cost = connCost; o.TLS != nil {
		c.cost += tlsCost
	}
	c.debug = o.Logger.Debug
	c.mu.all = make(map[*conn]struct{})
	c.answering = xsync.NewCounter()
}

// over returns the failure of a connection above the cap, nil while there are no more.
func (c *connections) over() *api.Failure { return c.above(0, 0) }

// above returns the failure of a connection more than spare above the cap, or more than files
// above that of all kinds; nil while there are no more.
func (c *connections) above(spare, files int) *api.Failure {
	switch {
	case c.open.Load() > int64(c.max+spare):
		return &api.Failure{Code: api.CodeTooManyConnections, Detail: "too many connections: close some, or raise --max-connections", Limit: c.max}
	case c.all() > c.files+files:
		return &api.Failure{Code: api.CodeTooManyConnections, Detail: "too many connections and streams together: close some, or raise --max-files", Limit: c.files}
	}
	return nil
}

// all returns the number of connections, streams included.
func (c *connections) all() int { return int(c.open.Load()) + c.streams() }

// changed is fasthttp's ConnState hook.
func (c *connections) changed(nc net.Conn, state fasthttp.ConnState) {
	own, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateNew:
		// The first byte counts as part of the first request, and so does a handshake.
		if own.enter(phaseReading); own.overTLS() {
			own.shaking = true
			own.set(phaseShaking)
		}
		c.add(own)
	case fasthttp.StateActive:
		own.enter(phaseReading)
	case fasthttp.StateIdle:
		own.settle()
		own.enter(phaseIdle)
		own.yield()
		own.scan = headScan{over: true} // what is buffered of the next head was not seen
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		c.remove(own)
		if state == fasthttp.StateClosed && own.seldom().broken != nil {
			own.rare.broken()
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

// replace has own stand for nc, which a goroutine serves from now on.
func (c *connections) replace(own *conn, nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own.Conn, own.handed = nc, true
	if c.mu.closed {
		_ = nc.Close()
	}
}

func (c *connections) remove(own *conn) {
	c.forget(own)
	own.set(phaseGone)
	own.settle()
	own.hold.Close()
	if own.short != nil {
		c.spares.Add(-1)
	}
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

// sweep ends what has taken too long: of an answer, what the peer has stopped reading.
// The connection's own goroutine sees a timeout, and does the rest.
func (c *connections) sweep() {
	now := time.Duration(c.clock.Add(int64(c.interval())))
	past, short := time.Unix(1, 0), c.budget.Short()
	c.mu.Lock()
	defer c.mu.Unlock()
	for own := range c.mu.all {
		p := phase(own.at.Load())
		if p == phaseWriting && own.reads() {
			own.since.Store(int64(now))
			continue
		}
		if p == phaseIdle && own.handed && now-time.Duration(own.since.Load()) >= c.homeAfter {
			if own.at.CompareAndSwap(int32(phaseIdle), int32(phaseHoming)) {
				_ = own.SetReadDeadline(past)
			}
			continue
		}
		limit := c.stillMax(own, p, short)
		late := limit != 0 && now-time.Duration(own.since.Load()) > limit
		if !late && !(short && p == phaseBody && own.slow(now)) {
			continue
		}
		switch p {
		case phaseShaking:
			_ = own.SetDeadline(past)
		case phaseWriting:
			_ = own.SetWriteDeadline(past)
		default:
			_ = own.SetReadDeadline(past)
		}
	}
}

// wakeAfter is how long connections that are silent at shutdown are left to
// finish sending a request.
const wakeAfter = 500 * time.Millisecond

// wakeIdle ends the wait for a request on all connections, wakeAfter from now
// and then again, because fasthttp itself leaves fresh ones alone for seconds.
// A handler at work does not notice. The function returned ends it.
func (c *connections) wakeIdle(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(wakeAfter)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.wakeAll()
			}
		}
	}()
	return func() { cancel(); <-done }
}

// stay takes back the deadline by which the sweep has asked that own is given to an event loop.
// The sweep holds the lock from its request to the deadline.
func (c *connections) stay(own *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = own.SetReadDeadline(time.Time{})
}

// wakeSessions has those on event loops look whether the server stops.
func (c *connections) wakeSessions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for own := range c.mu.all {
		if n, ok := own.Conn.(*session); ok {
			n.sock.Wake()
		}
	}
}

func (c *connections) wakeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for own := range c.mu.all {
		_ = own.SetReadDeadline(time.Unix(1, 0))
	}
}
