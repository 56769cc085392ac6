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
	// its turn, which keeps nobody from working.
	restMost = 100 * time.Millisecond
	// quietRate is up to how many reads and writes a second the mover does not rest.
	quietRate = 50
)

// A pace keeps moving values from slowing down those who read and write: it says
// how long to rest, and counts the mover's own commands, which are nobody's work.
// It belongs to the mover.
type pace struct {
	state *kv.State
	log   object.Proposer
	hold  func(context.Context) // may be nil; tests use it
	own   atomic.Uint64
	done  uint64    // by others, up to at
	at    time.Time // when it was looked last
}

var _ object.Proposer = (*pace)(nil)

// Propose implements object.Proposer.
func (p *pace) Propose(ctx context.Context, c *kv.Command) (kv.Result, error) {
	p.own.Add(1)
	return p.log.Propose(ctx, c)
}

// others counts the reads by key and the revisions that others made.
func (p *pace) others() uint64 {
	n := uint64(p.state.Position().Rev) - p.own.Load()
	for _, tier := range p.state.Tiers().Tier {
		n += tier.Reads
	}
	return n
}

// rest returns at once if hardly anybody reads or writes, else after a time that is
// in proportion to how long the mover worked, or when ctx ends.
func (p *pace) rest(ctx context.Context, worked time.Duration) {
	if p.hold != nil {
		p.hold(ctx)
	}
	n, now := p.others(), time.Now()
	since := max(now.Sub(p.at), worked)
	quiet := float64(n-p.done) <= quietRate*since.Seconds()
	p.done, p.at = n, now
	if quiet {
		return
	}
	t := time.NewTimer(min(restShare*worked, restMost))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
