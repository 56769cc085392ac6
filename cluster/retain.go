package cluster

import (
	"math"
	"time"

	"keywatch/cluster/core"
)

// DefaultLogKeep is the default of Options.LogKeep.
const DefaultLogKeep = 64 << 20

// pinIdle is how long the log is kept for a server that has got a snapshot and does not move.
const pinIdle = time.Minute

// A pin keeps the log for a server that gets a snapshot, from where that ends until the server has
// caught up: else the next checkpoint would have it start over. It belongs to the loop.
type pin struct {
	index uint64 // up to which the server does not need the log
	since time.Time
}

// pinLog keeps the log for a server that gets a snapshot.
func (n *Node) pinLog(id, index uint64) {
	l := &n.loop
	if l.pins == nil {
		l.pins = make(map[uint64]*pin)
	}
	l.pins[id] = &pin{index, time.Now()}
}

// pinned returns up to where no server that gets a snapshot needs the log, and lets go of what is
// kept for those that have caught up with a checkpoint, are no members any more, or stand still.
func (n *Node) pinned(checkpoint uint64, match map[uint64]uint64) uint64 {
	l, lowest := &n.loop, uint64(math.MaxUint64)
	if l.core.Term() == 0 {
		clear(l.pins) // the next leader has its own
	}
	for id, p := range l.pins {
		has, member := match[id]
		if has > p.index || l.shipments[id] != nil {
			p.index, p.since = max(p.index, has), time.Now()
		}
		if !member || has >= checkpoint || time.Since(p.since) > pinIdle {
			delete(l.pins, id)
			continue
		}
		lowest = min(lowest, p.index)
	}
	return lowest
}

// need returns up to where no other server needs the log: of those that can still be served from it,
// and whose need is known. On a server that does not lead it is what the leader has said.
func (n *Node) need() uint64 {
	l := &n.loop
	if l.core.Term() == 0 {
		return l.needed
	}
	match, lowest := l.core.Match(), uint64(math.MaxUint64)
	first, _ := n.store.FirstIndex()
	for _, has := range match {
		if has > 0 && has+1 >= first {
			lowest = min(lowest, has)
		}
	}
	index, _, _ := n.opts.Checkpoints.Last()
	return min(lowest, n.pinned(index, match))
}

// floor returns up to where the log may go once a checkpoint has it. What others need is kept, up to
// LogKeep bytes; what is pinned is kept in any case, unless the disk has no room.
func (n *Node) floor(checkpoint core.Point) uint64 {
	if n.alone() || n.opts.Short != nil && n.opts.Short() {
		return checkpoint.Index
	}
	keep := min(checkpoint.Index, n.need())
	last, err := n.opts.Log.LastIndex()
	if err != nil || keep == checkpoint.Index {
		return keep
	}
	within := n.opts.Log.EntriesWithin(n.opts.Log.BytesAfter(checkpoint.Index) + n.opts.LogKeep)
	keep = max(keep, 1) - 1 // after a start only the term of the first entry is of use
	keep = max(keep, last-min(last, within))
	return min(keep, checkpoint.Index, n.pinned(checkpoint.Index, n.loop.core.Match()))
}

// compact lets go of the log that a checkpoint has and no other server needs. Raft may still look at
// entries that it does not know to be applied: the loop tells it right after it has applied them.
func (n *Node) compact(at core.Point) error {
	if n.alone() {
		if n.loop.known.Load() < at.Index {
			told := make(chan struct{})
			if n.loop.ask(func() { close(told) }) {
				<-told
			}
		}
		return n.store.Compact(at)
	}
	var floor uint64
	if err := n.onLoop(func() error { floor = n.floor(at); return nil }); err != nil {
		return nil // the node has ended; the next start compacts
	}
	if floor == 0 {
		return nil
	}
	term, err := at.Term, error(nil)
	if floor < at.Index {
		if term, err = n.store.Term(floor); err != nil {
			return nil // it has gone meanwhile
		}
	}
	return n.store.Compact(core.Point{Index: floor, Term: term})
}

// Trim lets go of the log that the last checkpoint has and no other server needs.
func (n *Node) Trim() error {
	index, term, _ := n.opts.Checkpoints.Last()
	if index == 0 {
		return nil
	}
	return n.compact(core.Point{Index: index, Term: term})
}
