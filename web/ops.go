package web

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"keywatch/kv"
	"keywatch/web/api"
)

// OpsOptions configure an Ops. Registry is required; the zero value of each other field is
// its default.
type OpsOptions struct {
	// Registry is what /metrics shows.
	Registry *prometheus.Registry
	// AllowHost are further host names that a request for a profile may name, beside
	// addresses and localhost.
	AllowHost []string
	// Logger is where failures are reported; nothing is by default.
	Logger *slog.Logger
}

// An Ops answers an operator's requests on a listener of its own: /metrics, /healthz, /readyz
// and /debug/pprof. It asks for no credential and shows no key or value, except what a heap
// profile shows of function names. It answers before the store is open, so that a slow start
// can be looked into. It is safe for concurrent use.
type Ops struct {
	http   *http.Server
	guard  atomic.Pointer[guard]
	server atomic.Pointer[Server]
}

const (
	// opsHeadTimeout bounds the head of a request, opsIdleTimeout the time between requests
	// of a connection. A profile takes as long as was asked for.
	opsHeadTimeout = 10 * time.Second
	opsIdleTimeout = 2 * time.Minute
	// opsScrapes bounds the scrapes that are made at once.
	opsScrapes = 4
	// opsConnections bounds the connections that are open at once; more wait.
	opsConnections = 256
)

// NewOps returns an Ops, which must be ended with Close. It fails if a host name cannot be
// used.
func NewOps(opts OpsOptions) (*Ops, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	o := new(Ops)
	if err := o.AllowHosts(opts.AllowHost); err != nil {
		return nil, err
	}
	errorLog := slog.NewLogLogger(opts.Logger.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { opsText(w, "ok\n") })
	mux.HandleFunc("GET /readyz", o.ready)
	mux.Handle("GET /metrics", metricsHandler(opts.Registry, errorLog))
	mux.HandleFunc("GET /debug/pprof/", o.profile(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/profile", o.profile(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", o.profile(pprof.Trace))
	mux.HandleFunc("GET /debug/pprof/symbol", o.profile(pprof.Symbol))
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, r *http.Request) {
		opsFail(w, api.Refuse(api.CodeNoRoute, "the command line is not shown: it may have secrets"))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		opsFail(w, api.Refuse(api.CodeNoRoute, "no route for %s %.200q: expected GET /metrics, /healthz, /readyz or /debug/pprof/", r.Method, r.URL.Path))
	})
	o.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: opsHeadTimeout, IdleTimeout: opsIdleTimeout, MaxHeaderBytes: maxHead,
		ErrorLog: errorLog,
	}
	return o, nil
}

// metricsHandler shows r in the format that is asked for; only protobuf has native histograms.
func metricsHandler(r *prometheus.Registry, errorLog *log.Logger) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: errorLog, MaxRequestsInFlight: opsScrapes})
}

// Attach has /readyz tell of s. Until then it says that the server is starting.
func (o *Ops) Attach(s *Server) { o.server.Store(s) }

// Serve answers the connections of ln until Close, and then returns ErrServerClosed;
// otherwise it returns what ended it. It closes ln.
func (o *Ops) Serve(ln net.Listener) error {
	err := o.http.Serve(netutil.LimitListener(ln, opsConnections))
	if errors.Is(err, http.ErrServerClosed) {
		return ErrServerClosed
	}
	return err
}

// Close ends the server. Requests under way are waited for until ctx ends, and then cut off.
func (o *Ops) Close(ctx context.Context) error {
	if err := o.http.Shutdown(ctx); err != nil {
		return o.http.Close()
	}
	return nil
}

func (o *Ops) ready(w http.ResponseWriter, r *http.Request) {
	s := o.server.Load()
	if s == nil {
		opsFail(w, kv.ErrStarting)
		return
	}
	var leader bool
	switch text := r.URL.Query().Get("leader"); text {
	case "", "0":
	case "1":
		leader = true
	default:
		opsFail(w, api.Refuse(api.CodeBadParameter, "leader: expected 0 or 1, got %.80q", text))
		return
	}
	if err := s.Ready(leader); err != nil {
		opsFail(w, err)
		return
	}
	opsText(w, "ready\n")
}

// profile wraps a handler of profiles: a page in a browser must not get at them by a name
// that leads here.
func (o *Ops) profile(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !o.guard.Load().allowsHost([]byte(r.Host)) {
			opsFail(w, api.Refuse(api.CodeHostNotAllowed, "host %.80q is not allowed; to allow it start the server with --allow-host", r.Host))
			return
		}
		handler(w, r)
	}
}

func opsText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", string(typeText))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text))
}

// opsFail answers with a problem, as the server does.
func opsFail(w http.ResponseWriter, err error) {
	f := api.FailureOf(err)
	w.Header().Set("Content-Type", string(typeProblem))
	w.Header().Set("Cache-Control", "no-store")
	if f.Code.Status() == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(1))
	}
	w.WriteHeader(f.Code.Status())
	_, _ = w.Write(append(api.AppendProblem(nil, f, nil), '\n'))
}
