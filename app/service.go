package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/auth/audit"
)

// A service is a server from its first listener to the last: Serve has the order.
type service struct {
	config ServeConfig
	// undo is what close does, the last of it first.
	undo     []func()
	registry *prometheus.Registry
	manager  *notifier
	ops      *ops
	ln       net.Listener
	redis    *redisListener
	certs    *certOpener
	// live has the engine and the server, once there are any.
	live   *live
	events *audit.Log
}

// deferred has close call undo.
func (s *service) deferred(undo func()) { s.undo = append(s.undo, undo) }

// close gives back what neither the server nor the engine has closed.
func (s *service) close() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
}

// prepare opens what is there before the server listens.
func (s *service) prepare() (err error) {
	s.deferred(boundHeap(int64(s.config.MemoryMax)))
	pages, done := s.config.keepHuge()
	s.deferred(done)
	s.registry = s.config.newRegistry(pages)
	s.manager = openNotifier(s.config.Logger)
	s.deferred(s.manager.close)
	// The operator's listener before all else, so that a start can be looked into; it closes
	// last.
	if s.ops, err = s.config.openOps(s.registry); err != nil {
		return err
	}
	s.deferred(s.ops.close)
	tracer, sent, err := s.config.openTraces(s.registry)
	if err != nil {
		return err
	}
	s.deferred(sent)
	s.config.Tracer = tracer
	return errors.Join(s.config.checkTLS(), s.config.prepareJWT())
}

// listen opens the listeners of clients: a port that is in use is found out before any data is
// touched, and clients that come early wait instead of being refused.
func (s *service) listen() (err error) {
	if s.ln, err = net.Listen("tcp", s.config.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if s.redis, err = s.config.openRESP(); err != nil {
		return errors.Join(err, s.ln.Close())
	}
	s.config.Peers.advertise(s.config.TLS.Scheme(), s.ln.Addr())
	s.certs = &certOpener{open: func() (*certKeeper, error) { return s.config.openTLS(s.registry) }}
	s.deferred(s.certs.close)
	return nil
}

// open opens the engine and makes the server. If that takes long, as where a cluster is to be joined,
// clients are told. It closes the listeners if it fails, or if ctx ended first: then there is no server,
// and no error.
func (s *service) open(ctx context.Context) error {
	opened := s.config.answerEarly(s.ln, s.certs)
	engine, err := Open(ctx, s.config.Config)
	opened()
	if err != nil && err == ctx.Err() {
		return errors.Join(s.ln.Close(), s.redis.close())
	}
	if err != nil {
		return errors.Join(err, s.ln.Close(), s.redis.close())
	}
	s.live = &live{addr: s.ln.Addr(), ops: s.ops, engine: engine, tracer: s.config.Tracer}
	if err = s.build(); err != nil {
		return errors.Join(err, s.ln.Close(), s.redis.close(), engine.Close(), s.events.Close())
	}
	s.deferred(func() { _ = s.events.Close() })
	return nil
}

// build makes the server of the engine.
func (s *service) build() (err error) {
	if s.live.certs, err = s.certs.get(); err != nil {
		return err
	}
	if s.live.engine.access.on {
		s.events, err = s.config.openAudit(s.live.engine.memberID())
	} else if s.config.AuditWrites || s.config.AuditLog != "" && s.config.AuditLog != "off" {
		s.config.Logger.Warn("no audit log is written: the store has no users yet, and the server asks no caller for a credential; see --auth")
	}
	if err != nil {
		return err
	}
	_, err = newServer(s.config, s.live, s.registry, s.events, s.ln.Addr())
	return err
}

// announce says what the server serves with.
func (s *service) announce() {
	s.ops.attach(s.live.server)
	if s.live.engine.access.on {
		s.events.Record(audit.Event{Operation: "start with authentication"})
		if s.config.AuthStarted != nil {
			s.config.AuthStarted()
		}
	}
	if fingerprint := s.live.certs.fingerprint(&s.config.TLS); fingerprint != "" && s.config.TLSStarted != nil {
		s.config.TLSStarted(fingerprint)
	}
}

// run answers until ctx ends, or serving fails.
func (s *service) run(ctx context.Context, started func(net.Addr)) error {
	engine, addr := s.live.engine, s.ln.Addr()
	failed := make(chan error, 2) // the end of Serve and of ServeRESP, sent once each
	go func() { failed <- s.live.server.Serve(s.ln) }()
	s.redis.serve(s.live.server, failed)
	if started != nil {
		started(addr)
	}
	s.manager.ready("serving at "+s.config.TLS.Scheme()+"://"+addr.String(), func() { engine.state().Stats() })
	for ctx.Err() == nil {
		select {
		case err := <-failed:
			return errors.Join(err, engine.Close())
		case next := <-s.config.Updates:
			s.config = s.live.update(s.config, next)
		case <-ctx.Done():
		}
	}
	return s.stop()
}

// stop stops the server and then the engine, in the time that there is for it.
func (s *service) stop() error {
	c := s.config
	most := c.Drain + c.Grace + c.stopSpare
	s.manager.stopping(most)
	overdue := time.AfterFunc(most, func() { c.Fatal(fmt.Errorf("%w within %v", errNotStopped, most)) })
	s.deferred(func() { overdue.Stop() })
	return c.stop(s.live.server, s.live.engine)
}
