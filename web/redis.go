package web

import (
	"net"

	"keywatch/web/api"
	"keywatch/web/resp"
)

// newRESP returns what serves clients of Redis. Their connections count with those of requests.
func (s *Server) newRESP() (*resp.Server, error) {
	o := &s.opts
	return resp.New(resp.Options{
		Door: s.door, Unproved: &s.unproved, Limiter: o.Limiter, RateLoopback: o.RateLoopback, Budget: o.Budget,
		Reactor: s.reactor, Deadlines: s.waits,
		Max: o.MaxConnections, Others: func() int { return int(s.conns.open.Load()) },
		Full:   func() bool { return s.conns.all() > o.MaxFiles },
		Tracer: o.Tracer, Fsync: o.Durability == DurabilityFsync, Version: o.Version, Ready: o.Ready,
		Refused: func(code api.Code) { s.metrics.refuse(code) }, Logger: o.Logger,
	})
}

// ServeRESP answers clients of Redis on the connections of ln until Shutdown, and then returns
// nil; otherwise it returns what ended it. It closes ln.
func (s *Server) ServeRESP(ln net.Listener) error {
	return s.redis.Serve(ln)
}
