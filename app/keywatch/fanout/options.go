package fanout

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// A Transport is how watchers are connected.
type Transport string

// The transports.
const (
	SSE       Transport = "sse"
	WebSocket Transport = "ws"
)

// ErrOptions is matched by what Run returns for options that make no sense;
// nothing was sent.
var ErrOptions = errors.New("bad options")

// A Recorder is told durations, by one goroutine at a time.
type Recorder interface {
	Add(d time.Duration)
}

// Options say what to do. A field without a default named here has none.
type Options struct {
	// Server is keywatch's base URL. SubURL and PubURL aim at another server:
	// {key} in them is a key, {n} the number of a watcher.
	Server         string
	SubURL, PubURL string
	// PubMethod and PubBody are used with PubURL; {value} in PubBody is the
	// value. POST and {value}.
	PubMethod, PubBody string
	// SubHeaders and PubHeaders are further header lines, "Name: value".
	SubHeaders, PubHeaders []string

	Transport Transport
	// Watchers is the number of connections, 0 for publishing without any. Each
	// has Watches watches, 1 by default; more than one takes a WebSocket of
	// keywatch.
	Watchers, Watches int
	// Keys is how many keys there are; watch number i is of key i modulo Keys.
	Keys int
	// ByPrefix has keywatch's watchers name a prefix that only their key has.
	ByPrefix bool
	// Prefix is what keys begin with.
	Prefix string
	// Size is the size of a value in bytes, at least MinSize.
	Size int
	// Batch is how many keys one request writes, 1 by default; Keys must be a
	// multiple of it.
	Batch int
	// Rate is how many values a second are published, Burst how many requests
	// are sent at the same moment, on connections of their own; 1 by default.
	Rate  float64
	Burst int
	// Conns is the least number of publishing connections; 1.
	Conns int
	// Probe is how many puts a second are sent to keys without watchers.
	Probe float64
	// Duration is how long values are published; 0 opens watchers only.
	Duration time.Duration
	// Settle is how long to wait, once all watches are complete, before memory
	// is looked at; a second.
	Settle time.Duration
	// Stalled is the percentage of watchers that read nothing once connected.
	Stalled int
	// Drops is how often, evenly over Duration, all connections are dropped at once
	// and reconnect at once, each where it was.
	Drops int
	// Churn is how many connections a second, drawn at random, are dropped during
	// Duration and reconnect, each where it was.
	Churn float64
	// OpenTimeout is how long opening, and coming back, may take; a minute.
	OpenTimeout time.Duration
	// Drain is how long to wait, after the last value that came, for those that
	// do not come; 20 seconds.
	Drain time.Duration
	// PIDs are the server's processes. If there are none, those that listen on
	// the server's port are counted, if they are on this machine.
	PIDs []int

	// Delivery is told how long each value took to reach a watcher, Publish how
	// long requests of the load took, ProbePut those of Probe. Each may be nil.
	Delivery, Publish, ProbePut Recorder
	// Progress, if not nil, is told what is being done, now and then, by several
	// goroutines.
	Progress func(text string)
}

// MinSize is the least size of a value in bytes.
const MinSize = stampSize

func (o Options) withDefaults() Options {
	o.Watches = max(o.Watches, 1)
	o.Batch = max(o.Batch, 1)
	o.Burst = max(o.Burst, 1)
	o.Conns = max(o.Conns, 1)
	if o.Settle == 0 {
		o.Settle = time.Second
	}
	if o.Drain == 0 {
		o.Drain = 20 * time.Second
	}
	if o.OpenTimeout == 0 {
		o.OpenTimeout = time.Minute
	}
	if o.PubMethod == "" {
		o.PubMethod = "POST"
	}
	if o.PubBody == "" {
		o.PubBody = "{value}"
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// foreign reports whether another server than keywatch is meant.
func (o *Options) foreign() bool { return o.SubURL != "" || o.PubURL != "" }

func (o *Options) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
	switch {
	case o.Transport != SSE && o.Transport != WebSocket:
		return bad("the transport is sse or ws, not %q", o.Transport)
	case o.Watchers < 0 || o.Keys < 1 || o.Rate < 0 || o.Probe < 0 || o.Drops < 0 || o.Churn < 0 || o.Duration < 0:
		return bad("numbers must not be negative, and there must be a key")
	case o.Stalled < 0 || o.Stalled > 100:
		return bad("stalled is a percentage")
	case o.Size < MinSize:
		return bad("a value has at least %d bytes", MinSize)
	case o.Duration > 0 && o.Rate == 0:
		return bad("publishing needs a rate")
	case o.Keys%o.Batch != 0:
		return bad("%d keys are no multiple of batches of %d", o.Keys, o.Batch)
	case o.Watches > 1 && (o.Transport != WebSocket || o.foreign()):
		return bad("several watches on a connection take a WebSocket of keywatch")
	case o.foreign() && (o.SubURL == "" || o.PubURL == ""):
		return bad("another server needs both an address to subscribe and one to publish")
	case o.foreign() && (o.Batch > 1 || o.Drops > 0 || o.Churn > 0 || o.Probe > 0):
		return bad("batches, drops, churn and probes are for keywatch")
	}
	for _, address := range []string{o.Server, o.SubURL, o.PubURL} {
		if u, err := url.Parse(address); err != nil || address != "" && u.Scheme != "http" && u.Scheme != "ws" {
			return bad("%q is not an address that begins with http://; TLS is not measured", address)
		}
	}
	return nil
}
