package app

import (
	"context"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/persist/object"
)

const (
	// restShare is how many times as long as it worked the mover rests while others
	// read and write: it takes about a tenth of one processor then.
	restShare = 9
	// restMost bounds one rest: what took longer was waiting, for a disk, a network or
	// its turn, which keeps no caller from working.
	restMost = 100 * time.Millisecond
	// quietRate is up to how many reads and writes a second the mover does not rest.
	quietRate = 50
)

// A throttle keeps moving values from slowing down those who read and write: it says
// how long to rest, and counts the mover's own commands, which are not a caller's work.
// It belongs to the mover.
type throttle struct {
	state func() *kv.State
	log   object.Proposer
	hold  func(context.Context) // may be nil; tests use it
	own   atomic.Uint64
	done  uint64    // by others, up to at
	at    time.Time // when it was looked last
}

var _ object.Proposer = (*throttle)(nil)

// Propose implements object.Proposer.
func (t *throttle) Propose(ctx context.Context, c *kv.Command) (kv.Result, error) {
	t.own.Add(1)
	return t.log.Propose(ctx, c)
}

// others counts the reads by key and the revisions that others made.
func (t *throttle) others() uint64 {
	n := uint64(t.state().Position().Rev) - t.own.Load()
	for _, tier := range t.state().Tiers().Tier {
		n += tier.Reads
	}
	return n
}

// rest returns at once if hardly anybody reads or writes, else after a time that is
// in proportion to how long the mover worked, or when ctx ends.
func (t *throttle) rest(ctx context.Context, worked time.Duration) {
	if t.hold != nil {
		t.hold(ctx)
	}
	n, now := t.others(), time.Now()
	since := max(now.Sub(t.at), worked)
	quiet := float64(n-t.done) <= quietRate*since.Seconds()
	t.done, t.at = n, now
	if quiet {
		return
	}
	timer := time.NewTimer(min(restShare*worked, restMost))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
