package cluster

import (
	"sync/atomic"

	"keywatch/kv/latency"
)

type counters struct {
	entries, commands, refused atomic.Uint64
	// led counts the terms in which this server led. forwarded, resent and lost count batches that were
	// handed to another leader, handed over again, and lost with a term; reads those that asked the leader,
	// rounds the questions that they shared.
	led, forwarded, resent, lost, reads, rounds atomic.Uint64
}

// Stats are figures of a node at one moment.
type Stats struct {
	// Entries counts the log entries that this node proposed and saw applied,
	// Commands the commands in them.
	Entries, Commands uint64
	// Queued counts the commands that wait for the log, Refused those that found
	// the queue or the disk full.
	Queued  int
	Refused uint64
	// Leader is set while this node leads.
	Leader bool
	// Installing is set while the state of another server is received or loaded.
	Installing bool
	// Led counts the terms in which it led. Forwarded counts the batches that it handed to another
	// leader, Resent those that it handed over again, and Lost those that were lost with a term, and
	// were sent again or refused. ReadRounds counts the questions to the leader that reads shared, and
	// Reads those reads.
	Led, Forwarded, Resent, Lost, Reads, ReadRounds uint64
}

// Pending returns the bytes of the commands that wait for the log or are on their way
// through it. It costs an atomic load.
func (n *Node) Pending() int64 { return n.queue.held.Load() }

// CommitTimes returns how long commands took from their proposal until they were applied: each
// as long as the oldest in its entry.
func (n *Node) CommitTimes() *latency.Snapshot { return n.queue.times.Snapshot() }

// Stats returns the node's figures.
func (n *Node) Stats() Stats {
	return Stats{
		Entries: n.stats.entries.Load(), Commands: n.stats.commands.Load(),
		Led: n.stats.led.Load(), Forwarded: n.stats.forwarded.Load(), Resent: n.stats.resent.Load(),
		Lost: n.stats.lost.Load(), Reads: n.stats.reads.Load(), ReadRounds: n.stats.rounds.Load(),
		Queued: n.queue.depth(), Refused: n.stats.refused.Load(),
		Installing: n.installs(),
		Leader:     n.clock.Load() != nil && n.Ready() == nil,
	}
}
