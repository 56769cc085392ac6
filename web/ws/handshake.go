package ws

import (
	"net"
	"net/netip"
	"time"

	"keywatch/auth"
	"keywatch/watch"
)

// The subprotocols of WebSockets. In SubprotocolLines one text message of the
// server may hold many objects, a line each; else each has a message of its own.
const (
	Subprotocol      = "keywatch.v1.json"
	SubprotocolLines = "keywatch.v1.ndjson"
)

// claimTimeout is how long a connection may take to be handed over.
const claimTimeout = 30 * time.Second

// A Caller is for whom the commands of a socket count.
type Caller struct {
	// Addr is its address.
	Addr netip.Addr
	// Who is the caller that the credential proves; nil where there is no authentication.
	Who *auth.Caller
	// Below is what its connection takes in memory below the socket, in bytes.
	Below int64
	// Exempt says that neither its rate is limited nor the memory it takes for itself.
	Exempt bool
}

// A Handshake is a socket that has no connection yet. It ends with Adopt or
// Abandon, and otherwise after 30 seconds.
type Handshake struct{ session *session }

// Begin takes a place for a socket; lines says that its client speaks
// SubprotocolLines. It fails with api.ErrTooManyStreams, kv.ErrStopping or a
// *ratelimit.FullError.
func (v *Server) Begin(c Caller, lines bool) (Handshake, error) {
	s := &session{server: v, lines: lines, exempt: c.Exempt}
	s.who.Store(c.Who)
	if c.Addr.IsValid() {
		s.caller = c.Addr.As16()
	}
	if err := s.openHold(c.Below); err != nil {
		return Handshake{}, err
	}
	s.activate().claim = time.AfterFunc(claimTimeout, func() {
		if s.taken.CompareAndSwap(false, true) {
			v.end(s)
		}
	})
	err := s.enterUnproved(c.Who)
	if err == nil {
		err = v.enter(s)
	}
	if err != nil {
		s.active.claim.Stop()
		s.leaveUnproved()
		s.hold.Close()
		return Handshake{}, err
	}
	if c.Who != nil {
		s.seen.Store(c.Who.Look().Since)
		c.Who.Follow()
	}
	return Handshake{s}, nil
}

// Watch opens watch 0, which begins once the socket has its connection. It fails
// with an error of watch.Hub.Open.
func (h Handshake) Watch(req watch.Request) error { return h.session.open(0, req) }

// Abandon gives the socket up, unless it has its connection. It may be called
// more than once.
func (h Handshake) Abandon() { h.session.server.abandon(h.session) }

// Adopt gives the socket its connection, which belongs to the server from then
// on, even after an error. early is what was read from conn behind the handshake;
// it is not kept.
func (h Handshake) Adopt(conn net.Conn, early []byte) error {
	s := h.session
	if !s.taken.CompareAndSwap(false, true) {
		return conn.Close()
	}
	s.active.claim.Stop()
	s.active = nil
	err := s.server.opts.Reactor.Adopt(conn, early, s.attach)
	if err != nil {
		s.server.end(s)
	}
	return err
}

// A callerAddr is the address that a session's commands count for, in the
// smallest form.
type callerAddr [16]byte

// addr returns the address.
func (a callerAddr) addr() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// appendTo appends the address as HTTP requests from it are named.
func (a callerAddr) appendTo(b []byte) []byte { return a.addr().AppendTo(b) }
