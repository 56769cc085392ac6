package cluster

import (
	"sync/atomic"
	"time"
)

const (
	// beatEvery is how often the clock is told that the node works.
	beatEvery = 100 * time.Millisecond
	// stepMax is the most that log time moves after a beat. It leaves room for beats
	// that are late on a busy machine.
	stepMax = 300 * time.Millisecond
)

// A clock tells log time while this node leads: the log time of the last beat and the
// monotonic time since, up to stepMax. So time in which the process does not run
// (stopped, swapped out, a machine that is suspended or moved) or in which the log
// makes no progress counts for next to nothing: no client could have kept a lease alive
// then, and what ends by time waits for those who could not.
type clock struct {
	base  time.Duration // log time
	began time.Time
	still bool // the log has no room: it is base
}

// at returns the log time at now.
func (c *clock) at(now time.Time) time.Duration {
	if c.still {
		return c.base
	}
	return c.base + min(max(0, now.Sub(c.began)), stepMax)
}

// beat returns the clock that continues from c at now.
func (c *clock) beat(now time.Time) *clock { return &clock{base: c.at(now), began: now} }

// Now returns the present log time in milliseconds. A node that does not lead
// returns that of the last entry or beat of the leader.
func (n *Node) Now() int64 {
	c := n.clock.Load()
	if c == nil {
		return max(n.state().Time(), n.freshness.now.Load())
	}
	return max(n.state().Time(), c.at(instant()).Milliseconds())
}

// startClock has log time run from that of the last entry.
func (n *Node) startClock() {
	n.clock.Store(&clock{base: time.Duration(n.state().Time()) * time.Millisecond, began: instant()})
}

// beat has the clock run on, unless the log is stuck.
func (n *Node) beat() {
	now, c := instant(), n.clock.Load()
	if c != nil && !c.still && !n.committing.stuck(now) {
		n.clock.CompareAndSwap(c, c.beat(now)) // or it was stopped meanwhile
	}
}

// since is when something under way began, if anything is. It is safe for concurrent
// use.
type since struct{ at atomic.Pointer[time.Time] }

func (s *since) begin(now time.Time) { s.at.Store(&now) }

func (s *since) end() { s.at.Store(nil) }

// stuck reports whether it is under way for longer than from one beat to the next.
func (s *since) stuck(now time.Time) bool {
	at := s.at.Load()
	return at != nil && now.Sub(*at) > beatEvery
}
