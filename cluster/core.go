package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"keywatch/kv"
)

// Settings of Raft, in ticks, messages and bytes.
const (
	electionTicks   = 10
	heartbeatTicks  = 1
	maxMessage      = 1 << 20
	maxInflight     = 64
	maxInflightSize = 8 << 20
	maxApply        = 4 << 20
	maxUncommitted  = 64 << 20
)

// A core is one server's part in Raft, and what it has proposed. It has no goroutine, no clock
// and no channel: whoever owns it steps it, and does the work that it returns. It is not safe for
// concurrent use.
type core struct {
	raw *raft.RawNode
	// term is the one in which this server leads, 0 while it does not.
	term  uint64
	store *storage
	// broken is what Raft panicked with: nothing may be asked of it any more.
	broken error
	// proposed are the batches in the log that are not committed, oldest first.
	proposed []proposal
}

// A proposal is a batch, and the term in which it was logged.
type proposal struct {
	batch *batch
	term  uint64
}

// A work is what a core needs to have done. Writes are done in the order in which they were
// returned, and so is what is to be applied; the answers to both go to step.
type work struct {
	// write is what to make durable, nil for nothing.
	write *raftpb.Message
	// apply are entries that are committed; applied is the answer that says that they
	// are applied.
	apply   []committed
	applied *raftpb.Message
}

// A committed is an entry that is committed, and the batch that this server proposed it with;
// nil if it did not.
type committed struct {
	*raftpb.Entry
	batch *batch
}

// newCore starts Raft over a storage. What Raft panics with is an error here.
func newCore(s *storage, log *slog.Logger) (c *core, err error) {
	c = &core{store: s}
	defer func() { err = errors.Join(err, c.broken) }()
	defer c.catch()
	c.raw, err = raft.NewRawNode(&raft.Config{
		ID: s.id, Storage: s, Applied: s.start.index,
		ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks, CheckQuorum: true, PreVote: true,
		AsyncStorageWrites: true, MaxSizePerMsg: maxMessage, MaxCommittedSizePerReady: maxApply,
		MaxInflightMsgs: maxInflight, MaxInflightBytes: maxInflightSize, MaxUncommittedEntriesSize: maxUncommitted,
		DisableProposalForwarding: true, // entries have an order and a time, which their proposer gives
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{log},
	})
	return c, err
}

// catch is deferred where Raft may panic, which it does where storage fails it, or what it reads
// makes no sense.
func (c *core) catch() {
	switch p := recover().(type) {
	case nil:
	case runtime.Error:
		panic(p) // a fault in the program, whose stack matters
	default:
		if c.broken = c.store.failed(); c.broken == nil {
			c.broken = fmt.Errorf("raft: %v", p)
		}
	}
}

// campaign has the server stand for election at once.
func (c *core) campaign() error { return c.raw.Campaign() }

// propose logs data, of which it keeps a copy. It fails with kv.ErrNoLeader, before anything is
// logged, if this server does not lead.
func (c *core) propose(b *batch, data []byte) error {
	if c.term == 0 || c.raw.Propose(data) != nil {
		return kv.ErrNoLeader
	}
	c.proposed = append(c.proposed, proposal{b, c.term})
	return nil
}

// step takes a message: from another server, or the answer to a write or to what was applied.
// One that Raft refuses is lost, as a network may lose it.
func (c *core) step(m *raftpb.Message) {
	defer c.catch()
	_ = c.raw.Step(m)
}

// ready returns what there is to do; ok is false if there is nothing, or c is broken.
func (c *core) ready() (w work, ok bool) {
	defer c.catch()
	if c.broken != nil || !c.raw.HasReady() {
		return work{}, false
	}
	rd := c.raw.Ready()
	if rd.SoftState != nil {
		c.term = 0
		if rd.SoftState.RaftState == raft.StateLeader {
			c.term = c.raw.BasicStatus().GetTerm()
		}
	}
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			w.write = m
		case raft.LocalApplyThread:
			w.apply, w.applied = c.pair(m.Entries), m.Responses[0]
		}
	}
	return w, true
}

// pair finds the batches of entries that are committed. A server logs its batches of one term in
// order, and nobody else logs in a term in which it leads; so a batch is lost if an entry of a
// later term comes first.
func (c *core) pair(entries []*raftpb.Entry) []committed {
	out := make([]committed, len(entries))
	for i, e := range entries {
		out[i].Entry = e
		for len(c.proposed) > 0 && c.proposed[0].term < e.GetTerm() {
			c.pop().finish(nil, kv.ErrNoLeader)
		}
		if len(e.Data) > 0 && len(c.proposed) > 0 && c.proposed[0].term == e.GetTerm() {
			out[i].batch = c.pop()
		}
	}
	return out
}

// pop removes the oldest proposal.
func (c *core) pop() *batch {
	b := c.proposed[0].batch
	c.proposed[0] = proposal{}
	c.proposed = c.proposed[1:]
	return b
}

// giveUp tells those who wait for what was proposed that its outcome is unknown.
func (c *core) giveUp() {
	for len(c.proposed) > 0 {
		c.pop().finish(nil, kv.ErrOutcomeUnknown)
	}
}
