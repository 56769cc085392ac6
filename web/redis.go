package web

import (
	"context"
	"crypto/tls"
	"net"

	"keywatch/auth"
	"keywatch/web/api"
	"keywatch/web/resp"
)

// newRESP returns what serves clients of Redis. Their connections count with those of requests.
func (s *Server) newRESP() (*resp.Server, error) {
	o := &s.opts
	var login resp.Login
	if o.Accounts != nil {
		login = s.provePassword
	}
	return resp.New(resp.Options{
		Door: s.door, Login: login, Unproved: &s.unproved, Limiter: o.Limiter, RateLoopback: o.RateLoopback, Budget: o.Budget,
		Reactor: s.reactor, Deadlines: s.waits, TLS: s.tlsOfRESP(), Shaken: s.shaken,
		Max: o.MaxConnections, Others: func() int { return int(s.conns.open.Load()) },
		Full:       func() bool { return s.conns.all() > o.MaxFiles },
		EscapeKeys: o.RESPEscape, Tracer: o.Tracer, Fsync: o.Durability == DurabilityFsync, Version: o.Version, Ready: o.Ready,
		Refused: func(code api.Code) { s.metrics.refuse(code) }, Denied: s.auditDenied, Logger: o.Logger,
	})
}

// tlsOfRESP returns what connections of clients of Redis speak TLS by, nil for clear text.
func (s *Server) tlsOfRESP() *tls.Config {
	if s.opts.RESPInClear {
		return nil
	}
	return restrictTLS(s.opts.TLS, protocolRESP)
}

// shaken counts a handshake with a client of Redis.
func (s *Server) shaken(peer net.Addr, err error) {
	s.conns.handshakes[handshakeResultOf(err)].Add(1)
	if err != nil {
		s.opts.Logger.Debug("TLS handshake failed", "peer", peer, "err", err)
	}
}

// provePassword returns the caller that a user's password makes of a connection. Those that are wrong
// count with the logins that fail.
func (s *Server) provePassword(ctx context.Context, address, user, password string) (*auth.Caller, error) {
	who, err := s.admitPassword(ctx, address, user, password)
	s.auditLogin(address, user, who, err)
	return who, err
}

func (s *Server) admitPassword(ctx context.Context, address, user, password string) (*auth.Caller, error) {
	if err := s.logins.admit(address, user); err != nil {
		return nil, err
	}
	who, err := s.opts.Accounts.Prove(ctx, user, password)
	s.logins.done(address, user, err)
	return who, err
}

// ServeRESP answers clients of Redis on the connections of ln, over TLS where that is set, until Shutdown,
// and then returns nil; otherwise it returns what ended it. It closes ln.
func (s *Server) ServeRESP(ln net.Listener) error {
	return s.redis.Serve(ln)
}
