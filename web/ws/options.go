package ws

import (
	"errors"
	"log/slog"
	"time"

	"keywatch/auth"
	"keywatch/kv/trace"
	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/reactor"
)

// Options configure a Server. Door, Reactor and Deadlines are required; the
// zero value of each other field is its default.
type Options struct {
	// Door is the way to the store and the hub.
	Door *auth.Door
	// Unproved counts sockets whose callers have not proved who they are; nil bounds nothing.
	Unproved *api.Unproved
	// Limiter counts what callers ask for; nil limits nothing.
	Limiter *ratelimit.Limiter
	// Budget bounds the memory that callers make the server hold; nil bounds nothing.
	Budget *ratelimit.Budget
	// Reactor owns the connections. It is closed after the server.
	Reactor *reactor.Reactor
	// Deadlines say how long a command waits for the log.
	Deadlines *api.Deadlines

	// Tracer samples commands; nil samples none.
	Tracer *trace.Tracer

	// Max bounds the sockets open at once, together with what Others returns, the
	// number of other connections that count against the same bound; 100,000, and
	// none.
	Max    int
	Others func() int
	// Full reports whether there is no room for another connection of any kind;
	// nil is never.
	Full func() bool
	// MaxBody is the largest message in bytes; by default what the store's limits
	// allow for a batch.
	MaxBody int
	// Heartbeat is how often a socket with idle watches is sent its position; 15 s.
	Heartbeat time.Duration
	// Durability is what an acknowledged write has reached, as answers say it.
	Durability func() []byte

	// Refused, if not nil, is told the code of each command that is answered with
	// an error. It must not wait.
	Refused func(api.Code)
	// Denied, if not nil, is told of each command that is refused for the lack of a credential or a
	// permission. It must not wait.
	Denied func(api.Denial)
	// Logger is where failures are reported; nothing is by default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Max == 0 {
		o.Max = 100_000
	}
	if o.Others == nil {
		o.Others = func() int { return 0 }
	}
	if o.Full == nil {
		o.Full = func() bool { return false }
	}
	if o.MaxBody == 0 {
		o.MaxBody = o.Door.Limits().Command
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 15 * time.Second
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

// validate returns an error that names what is missing.
func (o Options) validate() error {
	if o.Door == nil || o.Reactor == nil || o.Deadlines == nil {
		return errors.New("ws: Door, Reactor and Deadlines are required")
	}
	if o.Max < 0 || o.MaxBody < 0 || o.Heartbeat < 0 {
		return errors.New("ws: a limit is negative")
	}
	return nil
}
