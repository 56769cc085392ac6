package cluster

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"keywatch/kv"
)

// commitLoop hands batches to Raft, oldest first, one at a time. While one is being
// written the next collects: with more than one under way batches are smaller,
// and the fsyncs that this adds cost more than the time that it saves.
func (n *Node) commitLoop() {
	for range n.queue.wake {
		for {
			// Who is about to run may have a command: let it come along.
			runtime.Gosched()
			b, more := n.queue.take()
			if !more {
				return
			}
			if b == nil {
				break
			}
			n.committing.begin(time.Now())
			n.commit(b)
			n.committing.end()
		}
	}
}

// commit has Raft commit and apply b, and tells those who wait for it.
func (n *Node) commit(b *batch) {
	future := n.raft.Apply(n.queue.entry(b, n.Now()), 0)
	if err := future.Error(); err != nil {
		n.queue.finish(b, nil, commitError(err))
		return
	}
	results, ok := future.Response().([]kv.Result)
	if !ok || len(results) != b.builder.Len() {
		n.queue.finish(b, nil, kv.ErrOutcomeUnknown)
		return
	}
	n.stats.entries.Add(1)
	n.stats.commands.Add(uint64(len(results)))
	n.queue.finish(b, results, nil)
}

// commitError says what an error of Raft means for a command: only what was
// refused before it reached the log is known not to be applied.
func commitError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return kv.ErrNoLeader
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return kv.ErrQueueFull
	}
	return kv.ErrOutcomeUnknown
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
