package ratelimit

import (
	"fmt"
	"math"
	"time"
)

// Defaults of Options.
const (
	DefaultMaxCallers = 65536
	DefaultIdle       = 5 * time.Minute
)

// Class is a kind of request with a bucket of its own.
type Class uint8

// The classes.
const (
	Read Class = iota
	Write
	Watch
	classes // how many there are
)

// String returns the name that flags, headers and metrics use: "reads",
// "writes" or "watches".
func (c Class) String() string {
	switch c {
	case Read:
		return "reads"
	case Write:
		return "writes"
	case Watch:
		return "watches"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Rate is what one caller may do in one class. The zero Rate is no limit.
type Rate struct {
	// PerSecond is how many tokens are refilled each second.
	PerSecond float64
	// Burst is how many tokens a full bucket holds, and so the most that may
	// be spent at once. 0 means one second's worth, at least 1.
	Burst int
}

// Off reports whether r limits nothing.
func (r Rate) Off() bool { return r == Rate{} }

// String returns r as ParseRates takes it, such as "200/s:400" or "off".
func (r Rate) String() string {
	if r.Off() {
		return "off"
	}
	r = r.withBurst()
	return fmt.Sprintf("%s:%d", formatPerSecond(r.PerSecond), r.Burst)
}

// withBurst returns r with Burst filled in.
func (r Rate) withBurst() Rate {
	if r.Burst == 0 && r.PerSecond > 0 {
		r.Burst = int(max(1, min(math.Ceil(r.PerSecond), maxBurst)))
	}
	return r
}

// maxBurst and maxPerSecond keep the arithmetic far from its edges; a limit
// above them is none.
const (
	maxBurst     = 1_000_000_000
	maxPerSecond = 1_000_000_000
	// minPerSecond is one token in about three years.
	minPerSecond = 1e-8
)

func (r Rate) validate(c Class) error {
	if r.Off() {
		return nil
	}
	if !(r.PerSecond >= minPerSecond && r.PerSecond <= maxPerSecond) {
		return fmt.Errorf("ratelimit: %s: rate must be between %g and %g a second", c, minPerSecond, float64(maxPerSecond))
	}
	if r.Burst < 0 || r.Burst > maxBurst {
		return fmt.Errorf("ratelimit: %s: burst must be between 1 and %d", c, maxBurst)
	}
	return nil
}

// Options say what callers may do. The zero value limits nothing.
type Options struct {
	// Reads, Writes and Watches are each caller's limits.
	Reads, Writes, Watches Rate
	// MaxCallers is how many callers are known at once; 0 means
	// DefaultMaxCallers.
	MaxCallers int
	// Idle is how long a caller is remembered at least after its last
	// request; 0 means DefaultIdle.
	Idle time.Duration
}

// Validate returns an error that names the first field that cannot be used.
func (o Options) Validate() error {
	for c, r := range o.rates() {
		if err := r.validate(Class(c)); err != nil {
			return err
		}
	}
	if o.MaxCallers < 0 {
		return fmt.Errorf("ratelimit: MaxCallers must not be negative")
	}
	if o.Idle < 0 {
		return fmt.Errorf("ratelimit: Idle must not be negative")
	}
	return nil
}

// Off reports whether o limits nothing at all.
func (o Options) Off() bool { return o.Reads.Off() && o.Writes.Off() && o.Watches.Off() }

func (o Options) rates() [classes]Rate {
	return [classes]Rate{Read: o.Reads, Write: o.Writes, Watch: o.Watches}
}

func (o Options) withDefaults() Options {
	if o.MaxCallers == 0 {
		o.MaxCallers = DefaultMaxCallers
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	return o
}
