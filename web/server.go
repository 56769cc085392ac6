package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"keywatch/auth"
	"keywatch/kv/wake"
	"keywatch/web/api"
	"keywatch/web/reactor"
	"keywatch/web/resp"
	"keywatch/web/ws"
)

// ErrServerClosed is returned by Serve after Shutdown was called.
var ErrServerClosed = errors.New("server closed")

// A Server answers requests. It is safe for concurrent use.
type Server struct {
	door     *auth.Door
	opts     Options
	born     time.Time // the zero of the times that requests are measured by
	http     *fasthttp.Server
	settings atomic.Pointer[settings]
	conns    connections
	// tls is what connections speak TLS by, nil for clear text.
	tls     *tls.Config
	streams *streamRegistry
	// sockets are the WebSockets, upgrader shakes hands with them.
	sockets  *ws.Server
	upgrader fiber.Handler
	// unproved counts connections whose callers have not proved yet who they are.
	unproved api.Unproved
	// redis serves clients of Redis, if ServeRESP is called.
	redis *resp.Server
	// callers says that callers' permissions may have changed.
	callers wake.Chan
	// reactor owns the connections of streams, front those of requests: a request does not wait
	// behind what streams are told. front is nil where goroutines serve all of them.
	reactor, front *reactor.Reactor
	// handed counts the connections that event loops have handed over.
	handed atomic.Int64
	// common is the header that every answer begins with.
	common  *fasthttp.ResponseHeader
	team    *team
	metrics *metrics
	// metricsPage and statusPage are the answers of /metrics and /v1/status.
	metricsPage, statusPage *rendering

	waits     *api.Deadlines
	lockWaits lockWaits
	logins    *logins
	jobs      jobs
	// requests holds idle *request values.
	requests sync.Pool
	bodies   bodies
	// fastPaths holds idle *fastPath values.
	fastPaths sync.Pool
	// background counts the goroutines that produce backups, and those that look
	// after connections and memory, which the first Serve starts.
	background sync.WaitGroup
	backups    backups
	watchOver  sync.Once

	// leaving is set when Drain begins, stopping when Shutdown does; draining is cancelled then, and
	// life when the server stops waiting for what is in flight.
	leaving      atomic.Bool
	stopping     atomic.Bool
	draining     context.Context
	drain        context.CancelFunc
	life         context.Context
	kill         context.CancelFunc
	shutdownOnce sync.Once
	shutdownErr  error

	mu struct {
		sync.Mutex
		closed    bool
		listeners []net.Listener
	}
}

// New returns a server, which must be ended with Shutdown. It fails if the
// options cannot be used.
func New(opts Options) (*Server, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	s := newServer(opts)
	if err := s.Change(Settings{opts.AllowHost, opts.AllowOrigin, opts.TrustedProxy, opts.MaxBackups}); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.life, s.kill = context.WithCancel(context.Background())
	s.draining, s.drain = context.WithCancel(s.life)
	s.initRequests()
	s.initConns()
	if err := s.initProtocols(); err != nil {
		s.kill()
		return nil, fmt.Errorf("web: %w", err)
	}
	if err := s.initMetrics(); err != nil {
		s.kill()
		_ = s.sockets.Close(s.life)
		_ = s.redis.Close(s.life)
		return nil, fmt.Errorf("web: %w", err)
	}
	s.http = s.newHTTP()
	if table := cmp.Or(opts.Auth, opts.OpenUntil); table != nil {
		s.callers = wake.New()
		table.OnChange(s.callers.Wake)
		s.background.Go(func() { s.followCallers(s.life) })
	}
	return s, nil
}

// newServer returns a server with the parts that need no other.
func newServer(opts Options) *Server {
	s := &Server{opts: opts, tls: restrictTLS(opts.TLS, protocolHTTP), door: newDoor(&opts), born: time.Now(), common: commonHeader()}
	s.team = &team{opts: &s.opts}
	if opts.AuditWrites && opts.Audit != nil {
		s.door.AuditWrites(s.auditWrite)
	}
	return s
}

// initRequests makes what requests need.
func (s *Server) initRequests() {
	s.lockWaits.init(s)
	s.jobs = newJobs(s)
	s.logins = newLogins(s.opts.LoginRate)
	s.waits = api.NewDeadlines(s.life, s.opts.RequestTimeout)
	s.requests.New = func() any {
		r := &request{s: s}
		r.mayFetch = r.fetchRoom
		return r
	}
	s.fastPaths.New = newFastPath
}

// initConns makes what owns connections.
func (s *Server) initConns() {
	opts := &s.opts
	s.conns.init(opts)
	s.conns.name = s.peerName
	s.conns.answer = s.answerFast
	s.conns.refuse = func(c api.Code) { s.metrics.refuse(c) }
	s.reactor = reactor.New(reactor.Options{WriteTimeout: opts.WriteTimeout, Short: opts.Budget.Short})
	if !opts.Goroutines {
		s.front = reactor.New(reactor.Options{WriteTimeout: opts.WriteTimeout, Short: opts.Budget.Short, SendBuffer: -1})
		s.conns.adopt = s.adopt
	}
}

// initProtocols makes streams, WebSockets and what serves clients of Redis.
func (s *Server) initProtocols() (err error) {
	opts := &s.opts
	s.streams = newStreamRegistry(streamOptions{
		door: s.door, reactor: s.reactor, budget: opts.Budget, max: opts.MaxStreams, heartbeat: opts.Heartbeat, logger: opts.Logger,
		full: func() bool { return s.conns.all() > s.opts.MaxFiles },
	})
	if s.sockets, err = s.newSockets(); err != nil {
		return err
	}
	if s.redis, err = s.newRESP(); err != nil {
		return err
	}
	s.upgrader = s.newUpgrader()
	s.conns.streams = func() int { return s.streams.Len() + s.sockets.Len() + s.redis.Len() }
	return nil
}

// initMetrics makes the metrics, and the answers that are made once for several requests.
func (s *Server) initMetrics() (err error) {
	if s.opts.Registry == nil {
		s.opts.Registry = prometheus.NewRegistry()
		registerProcess(s.opts.Registry)
	}
	if s.metrics, err = newMetrics(s); err != nil {
		return err
	}
	s.metricsPage = newRendering(func() (rendered, error) { return metricsText(s.opts.Registry) })
	s.statusPage = newRendering(s.status)
	return nil
}

// newHTTP makes the fiber application, of which one handler serves everything,
// and returns the server under it.
func (s *Server) newHTTP() *fasthttp.Server {
	app := fiber.New(fiber.Config{
		DisableStartupMessage:        true,
		DisableDefaultContentType:    true,
		DisablePreParseMultipartForm: true,
		StrictRouting:                true,
		CaseSensitive:                true,
		// Bodies are read in body.go, to whose limit this is none: fasthttp reads ahead
		// only so much of them.
		StreamRequestBody: true,
		BodyLimit:         1,
		ReadBufferSize:    maxHead,
		// Above the hard cap the listener refuses first: fasthttp does it in plain text.
		Concurrency: s.conns.hard + 64,
	})
	app.Use(func(c *fiber.Ctx) error {
		s.serve(c.Context(), c, nil)
		return nil
	})
	routed := app.Handler()
	server := app.Server()
	server.Handler = func(f *fasthttp.RequestCtx) {
		// fiber would answer methods that it does not know in plain text.
		if methodOf(f.Method()) == 0 {
			s.serve(f, nil, nil)
			return
		}
		routed(f)
	}
	server.HeaderReceived = s.markLarge
	server.ErrorHandler = s.malformed
	server.ConnState = s.conns.changed
	server.CloseOnShutdown = true
	// Those who shook hands for streams go before their memory is collected.
	server.MaxIdleWorkerDuration = scavengeQuiet / 2
	// The reactor closes the connections that it took over.
	server.KeepHijackedConns = true
	return server
}

// Handler returns what answers one request, for tests and benchmarks. Requests
// must not outlive Shutdown.
func (s *Server) Handler() fasthttp.RequestHandler { return s.http.Handler }

// Serve answers the connections of ln until Shutdown, and then returns
// ErrServerClosed; otherwise it returns what ended it. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.mu.closed {
		s.mu.Unlock()
		_ = ln.Close()
		return ErrServerClosed
	}
	s.mu.listeners = append(s.mu.listeners, ln)
	s.watchOver.Do(func() {
		s.background.Go(func() { s.conns.watchOver(s.life) })
		s.background.Go(func() { scavenge(s.life, s.opened) })
	})
	s.mu.Unlock()
	err := s.http.Serve(&capped{Listener: ln, conns: &s.conns, tls: s.tls, loops: s.loops})
	_ = ln.Close()
	if s.stopping.Load() {
		return ErrServerClosed
	}
	return err
}

// opened counts the connections on event loops and the watches that there ever were.
func (s *Server) opened() uint64 {
	n := s.reactor.Adopted() + s.door.Hub().Opened()
	if s.front != nil {
		n += s.front.Adopted()
	}
	return n
}

// Shutdown stops the server. New requests are refused with 503, streams are
// told to reconnect, and requests in flight are waited for until ctx
// ends; then every connection is closed. It returns ctx's error if something
// had to be cut off. Further calls wait for the first and return the same.
func (s *Server) Shutdown(ctx context.Context) error {
	s.shutdownOnce.Do(func() { s.shutdownErr = s.shutdown(ctx) })
	return s.shutdownErr
}

func (s *Server) shutdown(ctx context.Context) error {
	// Refuse first, so that nothing new begins behind what is waited for.
	s.stopping.Store(true)
	s.closeListeners()
	// Waits for a change end at once: they would outlast any grace.
	s.drain()
	// Streams and requests end side by side; neither waits for the other.
	streams := make(chan error, 3)
	go func() { streams <- s.streams.Close(ctx) }()
	go func() { streams <- s.redis.Close(ctx) }()
	go func() { streams <- s.sockets.Close(ctx) }()
	stopWaking := s.conns.wakeIdle(ctx)
	sessions := s.endSessions(ctx)
	err := s.http.ShutdownWithContext(ctx)
	if errors.Is(err, net.ErrClosed) {
		err = nil // the listeners were closed above
	}
	err = errors.Join(sessions, err, s.parted(ctx, s.handed.Load))
	stopWaking()
	err = errors.Join(err, <-streams, <-streams, <-streams)
	// What is left now is cut off, so that no goroutine outlives the server.
	s.kill()
	s.conns.closeAll()
	s.reactor.Close()
	if s.front != nil {
		s.front.Close()
	}
	s.background.Wait()
	s.lockWaits.close()
	s.waits.Close()
	return err
}

// endSessions ends the connections on event loops: idle ones at once, others once what was asked
// is answered.
func (s *Server) endSessions(ctx context.Context) error {
	if s.front == nil {
		return nil
	}
	s.conns.wakeSessions()
	return s.parted(ctx, func() int64 { return int64(s.front.Len()) })
}

// partEvery is how often it is looked whether connections have ended at shutdown.
const partEvery = 5 * time.Millisecond

// parted waits until there are none left, or ctx ends.
func (s *Server) parted(ctx context.Context, left func() int64) error {
	tick := time.NewTicker(partEvery)
	defer tick.Stop()
	for left() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	for _, ln := range s.mu.listeners {
		_ = ln.Close()
	}
}
