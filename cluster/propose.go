package cluster

import (
	"errors"

	"github.com/hashicorp/raft"

	"keywatch/kv"
)

// A flight is an entry that Raft has and has not answered yet.
type flight struct {
	batch  *batch
	future raft.ApplyFuture
}

// propose hands batches to Raft, oldest first. While one is being written the
// next collects; inflight holds it back when two are under way.
func (n *Node) propose() {
	defer close(n.inflight)
	for range n.queue.wake {
		for {
			b, more := n.queue.take()
			if !more {
				return
			}
			if b == nil {
				break
			}
			n.inflight <- flight{b, n.raft.Apply(n.queue.entry(b, n.Now()), 0)}
		}
	}
}

// collect awaits Raft's answers and tells those who wait.
func (n *Node) collect() {
	for f := range n.inflight {
		err := f.future.Error()
		if err != nil {
			f.batch.finish(nil, proposeError(err))
			continue
		}
		results, ok := f.future.Response().([]kv.Result)
		if !ok || len(results) != f.batch.builder.Len() {
			f.batch.finish(nil, kv.ErrOutcomeUnknown)
			continue
		}
		n.stats.entries.Add(1)
		n.stats.commands.Add(uint64(len(results)))
		f.batch.finish(results, nil)
	}
}

// proposeError says what an error of Raft means for a command: only what was
// refused before it reached the log is known not to be applied.
func proposeError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return kv.ErrNoLeader
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return kv.ErrQueueFull
	}
	return kv.ErrOutcomeUnknown
}
