package cluster

import (
	"sync/atomic"
	"time"
)

// A freshness says how far this node is behind the leader.
type freshness struct {
	// commit is what the leader had committed when its newest beat came, at is when that
	// was.
	commit uint64
	at     time.Time
	// since is when this node last had applied all that the leader had committed.
	since atomic.Pointer[time.Time]
	// now is the log time of the newest beat.
	now atomic.Int64
}

// sendBeat tells the others where this node is, if it leads.
func (n *Node) sendBeat() {
	l := &n.loop
	if l.leading == 0 || n.hangs() {
		return
	}
	f := beatFrame{l.leading, l.core.Commit(), n.Now(), n.need()}
	members := n.store.Members()
	for _, ids := range [][]uint64{members.Voters, members.Learners} {
		for _, id := range ids {
			if id != n.opts.ID {
				n.opts.Send(id, Control, f.encode())
			}
		}
	}
}

// heard takes a beat of the leader.
func (n *Node) heard(f *beatFrame) {
	if f.term != n.loop.core.CurrentTerm() {
		return
	}
	n.freshness.commit, n.freshness.at = f.commit, time.Now()
	n.freshness.now.Store(f.now)
	n.loop.needed = f.need
	n.refresh()
}

// refresh notes whether this node has what the leader had at its newest beat.
func (n *Node) refresh() {
	if f := &n.freshness; !f.at.IsZero() && n.loop.applied.Index >= f.commit {
		at := f.at
		f.since.Store(&at)
	}
}

// neverLag is the lag of a node that never had what a leader has: longer than any bound, whatever the clock of the day says.
const neverLag = 100 * 365 * 24 * time.Hour

// Lag returns how long ago this node had applied all that was acknowledged: what a read without
// asking the leader may miss. It is 0 for a leader, and about 100 ms for a follower that keeps up.
// A node that was never there returns neverLag.
func (n *Node) Lag() time.Duration {
	if n.alone() || n.clock.Load() != nil {
		return 0
	}
	if at := n.freshness.since.Load(); at != nil {
		return time.Since(*at)
	}
	return neverLag
}
