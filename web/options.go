package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/auth"
	"keywatch/auth/audit"
	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/ratelimit"
	"keywatch/watch"
)

// maxHead is the largest request head in bytes.
const maxHead = 16 << 10

// Durabilities of an acknowledged write.
const (
	DurabilityMemory   = "memory"
	DurabilityBuffered = "buffered"
	DurabilityFsync    = "fsync"
)

// Admin is what the operator's routes do. A nil func makes its route 404.
type Admin struct {
	// Checkpoint and Compact return when the work is done.
	Checkpoint func(ctx context.Context) error
	Compact    func(ctx context.Context) error
	// Migrate moves values to object storage and returns when it is done.
	Migrate func(ctx context.Context) error
	// Backup writes a consistent copy of the store to w and returns its size.
	Backup func(ctx context.Context, w io.Writer) (int64, error)
	// FullBackup is Backup with the values that lie in object storage.
	FullBackup func(ctx context.Context, w io.Writer) (int64, error)
	// BackupSize estimates the size of a backup in bytes.
	BackupSize func() int64
	// Status returns what /v1/status shows beside its own fields, as a value
	// that encoding/json can write; nil for nothing.
	Status func() any
}

// Options configure a Server. Store and Hub are required; the zero value of
// each other field is its default.
type Options struct {
	Store *kv.Store
	Hub   *watch.Hub
	// Auth knows the callers; nil is for no authentication: every caller may do everything.
	Auth *auth.Table
	// OpenUntil, where Auth is nil, is a table of the same store. Once it has users nothing is served any more: other
	// servers of a cluster can make them, and this one knows none of its callers.
	OpenUntil *auth.Table
	// Accounts changes users, roles and credentials; nil makes the routes of these 404. It is over
	// the table in Auth.
	Accounts *auth.Registry
	// Audit is where changes of users and credentials, an operator's work and denials are written
	// down; nil is nowhere.
	Audit *audit.Log
	// AuditWrites has each write of a caller be written there too.
	AuditWrites bool
	// LoginRate bounds the logins that fail; the zero value is DefaultLoginRate.
	LoginRate LoginRate
	// Limiter counts what callers ask for; nil limits nothing. Callers on
	// loopback addresses are exempt unless RateLoopback is set.
	Limiter      *ratelimit.Limiter
	RateLoopback bool
	// RESPEscape has keys be any bytes for clients of Redis: see resp.Options.EscapeKeys.
	RESPEscape bool
	// Budget bounds the memory that callers make the server hold: connections,
	// watches, bodies, answers that are not read; nil bounds nothing. For one caller it
	// is limited as its rate is.
	Budget *ratelimit.Budget
	// BudgetWait is how long a request waits for room in it; 1 s.
	BudgetWait time.Duration

	// Tracer samples requests; nil samples none. Its caller exports what is recorded.
	Tracer *trace.Tracer

	// Listen names the addresses served, host:port, which requests may name as
	// their Host beside loopback names and addresses. An unspecified host
	// stands for the address at which each connection arrived.
	Listen []string
	// AllowHost are further host names, without port, that requests may name.
	AllowHost []string
	// AllowOrigin are further origins, such as https://app.example:8443, whose
	// pages may use the server.
	AllowOrigin []string
	// TrustedProxy are the peers whose X-Forwarded-For is believed.
	TrustedProxy []netip.Prefix

	// MaxBody is the largest request body in bytes; by default what the
	// store's limits allow for a batch.
	MaxBody int
	// MaxConnections bounds the connections with ordinary requests, and
	// MaxStreams those that watch; 10,000 and 100,000.
	MaxConnections, MaxStreams int
	// MaxBackups bounds the backups that are read at once; 2.
	MaxBackups int
	// MaxFiles bounds both together, so that descriptors are left for the rest of
	// the process; by default nothing does.
	MaxFiles int
	// RequestTimeout is how long a request waits for the log; 10 s.
	RequestTimeout time.Duration
	// ReadTimeout bounds reading the head of a request, and how long nothing of its
	// body may come; IdleTimeout the time between requests of a connection, and
	// WriteTimeout each part of an answer; 1, 2 and 1 minutes.
	ReadTimeout, IdleTimeout, WriteTimeout time.Duration
	// Heartbeat is how often an idle stream is sent its position; 15 s.
	Heartbeat time.Duration

	// TLS, if not nil, has every connection of Serve and ServeRESP speak TLS. The server offers HTTP/1.1
	// only and resumes no session, whatever is said here or by GetConfigForClient, which may return another
	// configuration after a change of certificates.
	TLS *tls.Config
	// RESPInClear has ServeRESP speak clear text all the same.
	RESPInClear bool

	// Goroutines has every connection served by a goroutine of its own. Otherwise those of plain
	// TCP are served by event loops until a request needs a goroutine, where the system can.
	Goroutines bool

	// Durability is what an acknowledged write has reached: one of the
	// Durability constants, by default DurabilityFsync.
	Durability string
	// Ready returns nil, or why requests cannot be served yet, an error such
	// as kv.ErrStarting; nil is always ready.
	Ready func() error
	// Leader reports whether this server leads; by default one that is ready does.
	Leader func() bool
	// Lag returns how far local reads are behind; nil is never.
	Lag func() time.Duration

	// Serving returns nil while requests for keys are answered, else why they are not; by default
	// what Ready does. A server that is not ready, because it knows no leader say, may still answer
	// what it can.
	Serving func() error

	Admin Admin
	// Cluster is about the servers that have the same store.
	Cluster Cluster
	// Version is shown by /v1/status.
	Version string
	// Registry receives the server's metrics and is served at /metrics; by
	// default a new one, with those of the Go runtime and the process.
	Registry *prometheus.Registry
	// Logger is where failures are reported; nothing is by default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxBody == 0 {
		o.MaxBody = o.Store.Limits().Command
	}
	setInt(&o.MaxConnections, 10_000)
	setInt(&o.MaxStreams, 100_000)
	setInt(&o.MaxFiles, math.MaxInt32)
	setInt(&o.MaxBackups, 2)
	setDuration(&o.BudgetWait, time.Second)
	setDuration(&o.RequestTimeout, 10*time.Second)
	setDuration(&o.ReadTimeout, time.Minute)
	setDuration(&o.IdleTimeout, 2*time.Minute)
	setDuration(&o.WriteTimeout, time.Minute)
	setDuration(&o.Heartbeat, 15*time.Second)
	if o.Durability == "" {
		o.Durability = DurabilityFsync
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Leader == nil {
		o.Leader = func() bool { return true }
	}
	if o.Lag == nil {
		o.Lag = func() time.Duration { return 0 }
	}
	return o
}

func setInt(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

func setDuration(field *time.Duration, value time.Duration) {
	if *field == 0 {
		*field = value
	}
}

// validate returns an error that names the first field that cannot be used.
func (o Options) validate() error {
	if o.Store == nil || o.Hub == nil {
		return errors.New("web: Store and Hub are required")
	}
	switch o.Durability {
	case "", DurabilityMemory, DurabilityBuffered, DurabilityFsync:
	default:
		return fmt.Errorf("web: unknown durability %q", o.Durability)
	}
	if err := o.LoginRate.Validate(); err != nil {
		return fmt.Errorf("web: LoginRate: %w", err)
	}
	if o.Accounts != nil && o.Auth == nil {
		return errors.New("web: Accounts requires Auth")
	}
	if o.MaxBody < 0 || o.MaxConnections < 0 || o.MaxStreams < 0 || o.MaxFiles < 0 || o.MaxBackups < 0 {
		return errors.New("web: a limit is negative")
	}
	for _, d := range []time.Duration{o.RequestTimeout, o.ReadTimeout, o.IdleTimeout, o.WriteTimeout, o.Heartbeat} {
		if d < 0 {
			return errors.New("web: a timeout is negative")
		}
	}
	return nil
}
