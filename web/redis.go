package web

import (
	"errors"
	"net"

	"keywatch/web/api"
	"keywatch/web/resp"
)

// newRESP returns what serves clients of Redis. Their connections count with those of requests.
func (s *Server) newRESP() (*resp.Server, error) {
	o := &s.opts
	store, hub := undoored(o)
	return resp.New(resp.Options{
		Store: store, Hub: hub, Limiter: o.Limiter, RateLoopback: o.RateLoopback, Budget: o.Budget,
		Reactor: s.reactor, Deadlines: s.waits,
		Max: o.MaxConnections, Others: func() int { return int(s.conns.open.Load()) },
		Full:   func() bool { return s.conns.all() > o.MaxFiles },
		Tracer: o.Tracer, Fsync: o.Durability == DurabilityFsync, Version: o.Version, Ready: o.Ready,
		Refused: func(code api.Code) { s.metrics.refuse(code) }, Logger: o.Logger,
	})
}

// ServeRESP answers clients of Redis on the connections of ln until Shutdown, and then returns
// nil; otherwise it returns what ended it. It closes ln. It fails where callers have to prove who they
// are.
func (s *Server) ServeRESP(ln net.Listener) error {
	if s.opts.Auth != nil {
		return errors.Join(errors.New("clients of Redis cannot prove who they are yet"), ln.Close())
	}
	return s.redis.Serve(ln)
}
