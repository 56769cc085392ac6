package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

const (
	// connCost is about what a connection takes in memory while it is open, with what
	// a request may take that is not charged: buffers, a stack, api.FreeBytes.
	connCost = 48 << 10
	// tlsCost is about what TLS takes beside on a goroutine: the handshake, keys, a record of the peer.
	tlsCost = 24 << 10
	// streamCost is what a stream takes beside its watch.
	streamCost = 1 << 10
	// shortTimeout is how long a connection may read or send nothing that holds memory
	// while memory is short.
	shortTimeout = 5 * time.Second
	// slowStart and slowRate say how soon a body must have come while memory is short:
	// as many bytes a second, after a while.
	slowStart, slowRate = 10 * time.Second, 64 << 10
)

// peerName returns the name that the connections of a peer count for: none for those
// that stand for others, trusted proxies, and for this machine unless it is limited.
func (s *Server) peerName(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return ""
	}
	ip := tcp.AddrPort().Addr().Unmap()
	if s.trusts(ip) || ip.IsLoopback() && !s.opts.RateLoopback {
		return ""
	}
	return ip.String()
}

// memoryName returns the name that the request's body and answer count for.
func (r *request) memoryName() string {
	if r.findCaller(); r.exempt {
		return ""
	}
	if ip, err := netip.ParseAddr(borrow(r.caller)); err == nil && r.s.trusts(ip) {
		return "" // it speaks for others
	}
	return string(r.caller)
}

// connection returns the connection that the request came on, nil if it is none of the
// server's own.
func (r *request) connection() *conn {
	switch c := r.f.Conn().(type) {
	case *conn:
		return c
	case *lent:
		return c.conn
	}
	return nil
}

// account returns the connection with its account open for the request's caller; nil
// where nothing is charged.
func (r *request) account() *conn {
	own := r.connection()
	if own == nil || r.s.opts.Budget == nil {
		return nil
	}
	if !own.charges {
		own.charges, own.moving = true, r.s.opts.Budget.Open(r.memoryName())
	}
	return own
}

// room is the api.Room of the answer.
func (r *request) room(n int) error { return r.account().answer(n) }

// fetchRoom charges a value that is about to be fetched.
func (r *request) fetchRoom(size int) error {
	if size <= api.FreeBytes {
		return nil
	}
	return r.room(size)
}

// readsRoom charges the values that a batch is about to read, of which cold bytes are not in
// memory, and the answer with them. What would never have room is too large.
func (r *request) readsRoom(size, cold int) error {
	own := r.account()
	if own == nil || size <= api.FreeBytes {
		return nil
	}
	err := own.charge(ratelimit.Requests, &own.bodyBytes, own.bodyBytes+cold)
	if err == nil {
		err = own.answer(size)
	}
	if full, ok := errors.AsType[*ratelimit.FullError](err); ok && full.Never {
		return &api.Failure{
			Code: api.CodeBatchTooLarge, Limit: int(full.Limit), Cause: err,
			Detail: fmt.Sprintf("its gets return %d bytes of values, more than %s allows for one request", size, flagOf(full)),
		}
	}
	return err
}

// flagOf returns the name of the flag whose limit was exceeded.
func flagOf(err *ratelimit.FullError) string {
	if err.Caller {
		return "--client-memory-per-caller"
	}
	return "--client-memory"
}

// charge charges what makes n bytes of kind k, and waits a while for room.
func (c *conn) charge(k ratelimit.Kind, have *int, n int) error {
	if n > *have && c.short != nil {
		return c.short
	}
	if n > *have && c.looped() {
		if ok := c.moving.Try(k, int64(n-*have)); !ok && !c.promised {
			return kv.ErrWouldWait
		} else if !ok {
			c.moving.Force(k, int64(n-*have))
		}
	} else if n > *have {
		ctx, cancel := context.WithTimeout(context.Background(), c.conns.wait)
		defer cancel()
		if err := c.moving.Wait(ctx, k, int64(n-*have)); err != nil {
			return err
		}
	} else {
		c.moving.Shrink(k, int64(*have-n))
	}
	*have = n
	c.holds.Store(int64(c.bodyBytes + c.answerBytes))
	return nil
}

// answer charges the answer, which takes n bytes.
func (c *conn) answer(n int) error {
	if c == nil || n == c.answerBytes {
		return nil
	}
	return c.charge(ratelimit.Answers, &c.answerBytes, n)
}

// answered charges an answer that is ready, whether there is room or not, unless it is
// small.
func (c *conn) answered(n int) {
	if c == nil || n <= max(api.FreeBytes, c.answerBytes) {
		return
	}
	c.moving.Correct(ratelimit.Answers, int64(n))
	c.answerBytes = n
	c.holds.Store(int64(c.bodyBytes + c.answerBytes))
}

// settle gives back what the request and its answer have held.
func (c *conn) settle() {
	if !c.charges {
		return
	}
	c.moving.Close()
	c.charges, c.bodyBytes, c.answerBytes = false, 0, 0
	c.holds.Store(0)
}

// stillMax returns how long own may be at p while nothing moves.
func (c *connections) stillMax(own *conn, p phase, short bool) time.Duration {
	limit := c.limits[p]
	if own.short != nil && p != phaseWorking {
		return shortTimeout
	}
	if limit > shortTimeout && short && own.holds.Load() > 0 && (p == phaseBody || p == phaseWriting) {
		return shortTimeout
	}
	return limit
}

// reads reports whether the peer has read something since the sweep looked last. What
// waits in the kernel's buffers is not read.
func (c *conn) reads() bool {
	before := c.acked
	c.acked = acked(c.Conn)
	return c.acked != before
}

// slow reports whether a body comes so slowly that others must not wait for the memory
// that it holds.
func (own *conn) slow(now time.Duration) bool {
	held := own.holds.Load()
	return held > 0 && now-time.Duration(own.began.Load()) > slowStart+time.Duration(held/slowRate)*time.Second
}
