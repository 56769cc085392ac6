package web

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/tlsconn"
)

// acceptPause is how long to wait for a descriptor where there is none.
const acceptPause = 20 * time.Millisecond

// spareFiles is how many connections above Options.MaxFiles are accepted, so that
// they are refused with an answer.
const spareFiles = 64

// spareConns is how many connections that there is no memory for are served all the same,
// shortly: they may ask one thing that is brief and small, or how the server is, and get the
// reason for everything else. Half of them are for callers who have used up what is theirs.
const spareConns = 64

// A capped listener refuses connections above the hard cap with a fixed
// answer, unread.
type capped struct {
	net.Listener
	conns *connections
	// tls is what connections speak TLS by, nil for clear text.
	tls *tls.Config
	// loops has an event loop serve a connection, if one can.
	loops func(*conn) bool
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
		own, f := l.conns.admit(nc)
		if own != nil && l.tls != nil {
			own.Conn = tlsconn.Server(nc, l.tls)
		}
		if own != nil && l.loops(own) {
			continue
		}
		if own != nil {
			return own, nil
		}
		l.conns.refused.Add(1)
		l.conns.refuse(f.Code)
		if l.tls != nil { // a handshake is not for those there is no room for
			_ = nc.Close()
			continue
		}
		// The buffer space is that of a new socket, so writing the answer does not wait.
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write(fixedAnswer(f))
		l.part(nc)
	}
}

// admit returns the connection, or why there is no room for it.
func (c *connections) admit(nc net.Conn) (own *conn, f *api.Failure) {
	// One more is not counted yet.
	if f := c.above(c.hard-c.max-1, spareFiles-1); f != nil {
		return nil, f
	}
	own = &conn{Conn: nc, conns: c, hold: c.budget.Open(c.name(nc.RemoteAddr()))}
	err := own.hold.Grow(ratelimit.Connections, c.cost)
	if err == nil {
		return own, nil
	}
	own.hold.Close()
	own.short = api.FailureOf(err)
	most := int64(spareConns)
	if own.short.Code == api.CodeCallerMemoryFull {
		most /= 2
	}
	if c.spares.Add(1) > most {
		c.spares.Add(-1)
		return nil, own.short
	}
	return own, nil
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
