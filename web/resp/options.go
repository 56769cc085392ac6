package resp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"keywatch/auth"
	"keywatch/kv/trace"
	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/reactor"
)

// A Login finds out whether a password is the one of a user, for a client at an address. It fails with
// auth.ErrWrongPassword whatever is wrong.
type Login func(ctx context.Context, address, user, password string) (*auth.Caller, error)

// Options configure a Server. Door, Reactor and Deadlines are required; the zero value of each other
// field is its default.
type Options struct {
	// Door is the way to the store and the hub.
	Door *auth.Door
	// Login looks at passwords; without one only tokens prove who a client is.
	Login Login
	// Unproved counts connections that have not proved who they are; nil bounds nothing.
	Unproved *api.Unproved
	// ProofTime is how long a connection may take to prove who it is, where callers may do nothing
	// before; 10 s.
	ProofTime time.Duration
	// TLS, if not nil, has every connection speak TLS. A verified certificate of the client is a credential.
	TLS *tls.Config
	// HandshakeTime is how long a handshake may take; 10 s.
	HandshakeTime time.Duration
	// Shaken, if not nil, is told how each handshake ended.
	Shaken func(peer net.Addr, err error)
	// Limiter counts what callers ask for; nil limits nothing. Callers on this machine are
	// limited only if RateLoopback is set.
	Limiter      *ratelimit.Limiter
	RateLoopback bool
	// Budget bounds the memory that callers make the server hold; nil bounds nothing.
	Budget *ratelimit.Budget
	// Reactor owns the connections. It is closed after the server.
	Reactor *reactor.Reactor
	// Deadlines say how long a command waits for the log.
	Deadlines *api.Deadlines

	// Tracer samples commands; nil samples none.
	Tracer *trace.Tracer

	// Max bounds the connections, together with what Others returns; 10,000, and none.
	Max    int
	Others func() int
	// Full reports whether there is no room for another connection of any kind; nil is never.
	Full func() bool
	// EscapeKeys has keys be any bytes: see names. Otherwise those that break the rules of keys are refused.
	EscapeKeys bool
	// Fsync says that an acknowledged write is on disk.
	Fsync bool
	// Version is that of keywatch.
	Version string
	// Ready returns nil if requests can be served; nil is always.
	Ready func() error
	// Refused, if not nil, is told the code of each command that is answered with an error of
	// the store. It must not wait.
	Refused func(api.Code)
	// Denied, if not nil, is told of each command that is refused for the lack of a credential or a
	// permission. It must not wait.
	Denied func(api.Denial)
	// Logger is where failures are reported; nothing is by default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Max == 0 {
		o.Max = 10_000
	}
	if o.ProofTime == 0 {
		o.ProofTime = 10 * time.Second
	}
	if o.HandshakeTime == 0 {
		o.HandshakeTime = 10 * time.Second
	}
	if o.Shaken == nil {
		o.Shaken = func(net.Addr, error) {}
	}
	if o.Others == nil {
		o.Others = func() int { return 0 }
	}
	if o.Full == nil {
		o.Full = func() bool { return false }
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Refused == nil {
		o.Refused = func(api.Code) {}
	}
	if o.Denied == nil {
		o.Denied = func(api.Denial) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	if o.Door == nil || o.Reactor == nil || o.Deadlines == nil {
		return errors.New("resp: Door, Reactor and Deadlines are required")
	}
	if o.Max < 0 || o.ProofTime < 0 || o.HandshakeTime < 0 {
		return errors.New("resp: a limit is negative")
	}
	return nil
}
