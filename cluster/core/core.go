package core

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"keywatch/persist/wal"
)

// Settings of Raft: ticks, messages and bytes.
const (
	// ElectionTicks is how many ticks without a word of the leader begin an election, at
	// least; at most it is twice as many.
	ElectionTicks   = 10
	heartbeatTicks  = 1
	maxMessage      = 1 << 20
	maxInflight     = 64
	maxInflightSize = 8 << 20
	maxApply        = 4 << 20
	maxUncommitted  = 64 << 20
)

var (
	// ErrNotLeader is returned by Propose on a server that does not lead, or hands
	// leadership over.
	ErrNotLeader = errors.New("this server does not lead")
	// ErrDropped is returned by Propose where too much is on its way. Nothing was logged.
	ErrDropped = errors.New("raft dropped the proposal")
)

// Options configure a Core.
type Options struct {
	Storage *Storage
	// Logger receives Raft's warnings and errors, and for debugging the rest; nil discards
	// them.
	Logger *slog.Logger
	// NoPreVote and NoCheckQuorum turn off what keeps a server that was cut off from
	// disturbing the others. Simulations use them.
	NoPreVote, NoCheckQuorum bool
}

// A Core is one server's part in Raft, and what it has proposed. It is not safe for concurrent
// use. Raft panics where its storage fails or what it reads makes no sense; a Core is broken
// then, and Err says why.
type Core struct {
	raw   *raft.RawNode
	store *Storage
	// term is the one in which this server leads, 0 while it does not.
	term   uint64
	leader uint64
	broken error
	// proposed is what is in the log and not known to be committed, oldest first.
	proposed []proposal
	// hard is what Raft last asked to be written.
	hard wal.Hard
	// held is what is to be applied, oldest first, and was not returned yet. committed is the term
	// of the newest entry that ever was in it.
	held      []held
	committed uint64
	// restored is where the state of another server ends that Raft has accepted last.
	restored uint64
	reads    []Read
	// forgot is the term whose leader was forgotten last, joint how many ticks this server has led voters of whom some
	// come or go.
	forgot uint64
	joint  int
}

// A proposal is what its proposer knows it by, and the term in which it was logged.
type proposal struct {
	tag  any
	term uint64
}

// A held is what is to be applied once it is durable that it is committed, if it has changes of
// members: a server that has lost power must not return with the members of before.
type held struct {
	apply   []Committed
	applied *raftpb.Message
	lost    []any
	waits   bool
}

// A Work is what a Core needs to have done.
type Work struct {
	// Send are messages to other servers, which may be sent at once. They may be lost.
	Send []*raftpb.Message
	// Writes are done in the order in which they were returned. When one is durable, and never
	// before, it goes to Deliver.
	Writes []Write
	// Apply are entries to be applied, in order, and after those that were returned before.
	// Applied goes to Step when they are.
	Apply   []Committed
	Applied *raftpb.Message
	// Reads are answers to ReadIndex.
	Reads []Read
	// Lost are the tags of proposals of this server that will never be applied. Unknown are those of
	// which the state of another server, that Raft has accepted, may have some.
	Lost, Unknown []any
}

// A Write is what is to be made durable, by Storage.Write: term and vote first, then the state
// of another server or entries.
type Write struct {
	hard   wal.Hard // the zero value for no change
	commit uint64   // what is known to be committed
	// Snapshot is the state of another server, which is to replace this one's, and its log; nil
	// for none.
	Snapshot *raftpb.Snapshot
	// Entries replace what the log has from the first of them on. They must not be changed.
	Entries []*raftpb.Entry
	// keep says that it must become durable that everything up to commit is committed.
	keep      bool
	responses []*raftpb.Message
}

// Idle reports whether there is nothing to write: only the order matters.
func (w *Write) Idle() bool {
	return w.hard == wal.Hard{} && w.Snapshot == nil && len(w.Entries) == 0 && !w.keep
}

// A Committed is an entry that is committed, and the tag that this server proposed it with; nil
// if it did not.
type Committed struct {
	*raftpb.Entry
	Tag any
}

// A Read says that who has applied Index has seen everything that was acknowledged before
// ReadIndex was called with ID.
type Read struct{ ID, Index uint64 }

// New starts Raft over a storage.
func New(o Options) (c *Core, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c = &Core{store: o.Storage, hard: o.Storage.hard}
	defer func() { err = errors.Join(err, c.broken) }()
	defer c.catch()
	c.raw, err = raft.NewRawNode(&raft.Config{
		ID: o.Storage.id, Storage: o.Storage, Applied: o.Storage.mu.start.Index,
		ElectionTick: ElectionTicks, HeartbeatTick: heartbeatTicks,
		CheckQuorum: !o.NoCheckQuorum, PreVote: !o.NoPreVote,
		AsyncStorageWrites: true, MaxSizePerMsg: maxMessage, MaxCommittedSizePerReady: maxApply,
		MaxInflightMsgs: maxInflight, MaxInflightBytes: maxInflightSize, MaxUncommittedEntriesSize: maxUncommitted,
		DisableProposalForwarding: true, // entries have an order and a time, which their proposer gives
		StepDownOnRemoval:         true,
		Logger:                    logger{o.Logger},
	})
	return c, err
}

// catch is deferred where Raft may panic.
func (c *Core) catch() {
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

// Err returns why nothing may be asked of c any more, nil if it may.
func (c *Core) Err() error { return c.broken }

// Term returns the term in which this server leads, 0 while it does not.
func (c *Core) Term() uint64 { return c.term }

// CurrentTerm returns the term that this server is in, as of the last Ready.
func (c *Core) CurrentTerm() uint64 { return c.hard.Term }

// Commit returns the index up to which everything is committed, as far as this server knows.
func (c *Core) Commit() uint64 { return c.raw.BasicStatus().GetCommit() }

// Leader returns the server that leads as far as this one knows, 0 if it knows none.
func (c *Core) Leader() uint64 { return c.leader }

// Status returns Raft's own view.
func (c *Core) Status() raft.Status { return c.raw.Status() }

// Match returns what is known of the logs of the other members: the newest entry that each has in
// common with this one's, 0 for nothing known. It is for a server that leads.
func (c *Core) Match() map[uint64]uint64 {
	match := make(map[uint64]uint64)
	c.raw.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id != c.store.id {
			match[id] = p.Match
		}
	})
	return match
}

// Campaign has the server stand for election at once.
func (c *Core) Campaign() {
	defer c.catch()
	_ = c.raw.Campaign() // who cannot, does not
}

// Tick tells Raft that a tick has passed.
func (c *Core) Tick() {
	defer c.catch()
	c.raw.Tick()
	c.leaveJoint()
}

// Propose logs data, of which it keeps a copy. tag, which is not nil, is returned in Work: with the
// entry, or as lost. It fails with ErrNotLeader or ErrDropped, and then nothing is logged.
func (c *Core) Propose(tag any, data []byte) error {
	defer c.catch()
	if c.term == 0 {
		return ErrNotLeader
	}
	if err := c.raw.Propose(data); err != nil {
		return ErrDropped
	}
	c.proposed = append(c.proposed, proposal{tag, c.term})
	return nil
}

// Step takes a message: from another server, or Applied. One that Raft refuses is lost, as a
// network may lose it.
func (c *Core) Step(m *raftpb.Message) {
	defer c.catch()
	if m.GetType() == raftpb.MsgReadIndex && c.unsure() {
		return
	}
	_ = c.raw.Step(m)
}

// Unreachable says that messages to a server were lost: Raft finds out what it has.
func (c *Core) Unreachable(id uint64) {
	defer c.catch()
	c.raw.ReportUnreachable(id)
}

// Deliver takes a write that is durable. It returns messages to other servers that may be sent
// now.
func (c *Core) Deliver(w Write) (send []*raftpb.Message) {
	for i := range c.held {
		if w.keep && c.held[i].waits {
			c.held[i].waits = false // writes are in the order of what waits for them
			break
		}
	}
	for _, m := range w.responses {
		if m.GetTo() == c.store.id {
			c.Step(m)
		} else {
			send = append(send, m)
		}
	}
	return send
}

// Ready returns what there is to do; ok is false if there is nothing, or c is broken.
func (c *Core) Ready() (w Work, ok bool) {
	defer c.catch()
	switch {
	case c.broken != nil:
		return Work{}, false
	case c.raw.HasReady():
		c.take(c.raw.Ready(), &w)
	case len(c.reads) == 0 && (len(c.held) == 0 || c.held[0].waits):
		return Work{}, false
	}
	w.Reads, c.reads = c.reads, nil
	if len(c.held) > 0 && !c.held[0].waits {
		h := c.held[0]
		c.held[0] = held{}
		c.held = c.held[1:]
		w.Apply, w.Applied, w.Lost = h.apply, h.applied, h.lost
	}
	return w, true
}

// take sorts what Raft wants to have done.
func (c *Core) take(rd raft.Ready, w *Work) {
	if s := rd.SoftState; s != nil {
		c.term, c.leader = 0, s.Lead
		if s.RaftState == raft.StateLeader {
			c.term = c.raw.BasicStatus().GetTerm()
		}
	}
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			w.Writes = append(w.Writes, c.write(m))
			if w.Writes[len(w.Writes)-1].Snapshot != nil {
				w.Unknown = c.Abandon()
			}
		case raft.LocalApplyThread:
			c.hold(m, w)
		default:
			w.Send = append(w.Send, m)
		}
	}
	for _, r := range rd.ReadStates {
		c.reads = append(c.reads, Read{binary.BigEndian.Uint64(r.RequestCtx), r.Index})
	}
	if faulty(earlyAnswer) {
		c.answerEarly(w)
	}
}

// write returns what Raft wants to have written.
func (c *Core) write(m *raftpb.Message) Write {
	w := Write{commit: m.GetCommit(), Entries: m.Entries, responses: m.Responses}
	if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
		w.Snapshot, c.restored = s, s.GetMetadata().GetIndex()
	}
	if h := (wal.Hard{Term: m.GetTerm(), Vote: m.GetVote()}); h.Term != 0 && h != c.hard {
		c.hard, w.hard = h, h
		if faulty(forgottenVote) {
			w.hard.Vote = 0
		}
	}
	return w
}

// hold takes entries to be applied, and has it written that they are committed if they have
// changes of members.
func (c *Core) hold(m *raftpb.Message, w *Work) {
	h := held{apply: make([]Committed, len(m.Entries)), applied: m.Responses[0]}
	for i, e := range m.Entries {
		h.apply[i] = Committed{e, c.pair(e, &h)}
		h.waits = h.waits || e.GetType() != raftpb.EntryNormal
	}
	c.held = append(c.held, h)
	c.committed = m.Entries[len(m.Entries)-1].GetTerm()
	if h.waits {
		w.Writes = append(w.Writes, Write{commit: m.Entries[len(m.Entries)-1].GetIndex(), keep: true})
	}
}

// pair finds the proposal of an entry that is committed. A server logs its proposals of one term
// in order, and no other server logs in a term in which it leads; so one is lost if an entry of a
// later term comes first.
func (c *Core) pair(e *raftpb.Entry, h *held) (tag any) {
	for len(c.proposed) > 0 && c.proposed[0].term < e.GetTerm() {
		h.lost = append(h.lost, c.pop())
	}
	if e.GetType() == raftpb.EntryNormal && len(e.Data) > 0 && len(c.proposed) > 0 && c.proposed[0].term == e.GetTerm() {
		return c.pop()
	}
	return nil
}

// pop removes the oldest proposal.
func (c *Core) pop() any {
	tag := c.proposed[0].tag
	c.proposed[0] = proposal{}
	c.proposed = c.proposed[1:]
	return tag
}

// Abandon returns all proposals whose fate is not known, and forgets them.
func (c *Core) Abandon() (tags []any) {
	for len(c.proposed) > 0 {
		tags = append(tags, c.pop())
	}
	return tags
}

// Newest returns the newest proposal whose fate is not known, nil if there is none.
func (c *Core) Newest() any {
	if n := len(c.proposed); n > 0 {
		return c.proposed[n-1].tag
	}
	return nil
}
