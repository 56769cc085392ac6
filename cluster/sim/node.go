package sim

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"keywatch/cluster/core"
)

// A Node is one server. It does what core asks for when it is told to, and no sooner.
type Node struct {
	ID   uint64
	c    *Cluster
	disk disk
	// joins says that it began with nothing. life is how often it was started, ticks how many
	// passed.
	joins       bool
	life, ticks int
	// member says that it ever was one, knows which change of members it has applied last, gone
	// that it was removed and does not start any more.
	member, gone bool
	knows        uint64

	// The rest is lost with the process. core is nil while it is down.
	core  *core.Core
	store *core.Storage
	state *state
	// written are writes that have ended and were not delivered yet; applies is what is to be
	// applied, oldest first.
	written []core.Write
	applies []applies
	paused  bool
	reads   []*Read
	// told is the last entry that the core knows to be applied.
	told uint64
	// freezing is a checkpoint that is not durable yet. changed is the index of the last change
	// of members, and ordered says that a checkpoint is needed that has it.
	freezing *checkpoint
	// staged is a snapshot that has arrived and was not offered to the core yet, nil for none.
	// loading is the state that was installed and is not loaded yet.
	staged *staged
	// installing says that the core has accepted one that is not loaded yet.
	installing bool
	loading    *checkpoint
	changed    uint64
	ordered    bool
	term       uint64 // in which it led last
}

// An applies is what is left of entries to be applied together.
type applies struct {
	entries []core.Committed
	applied *raftpb.Message
}

// Up reports whether the server runs.
func (n *Node) Up() bool { return n.core != nil }

// Leads reports whether the server leads as far as it knows.
func (n *Node) Leads() bool { return n.Up() && n.core.Term() > 0 }

// Applied returns the last entry that was applied.
func (n *Node) Applied() uint64 {
	if !n.Up() {
		return 0
	}
	return n.state.at.Index
}

// Core returns the server's part in Raft, nil while it is down. Only to look at.
func (n *Node) Core() *core.Core { return n.core }

// Members returns the members that the server knows.
func (n *Node) Members() *raftpb.ConfState { return n.store.Members() }

// Start starts a server that is down.
func (n *Node) Start() {
	if n.Up() || n.gone || n.c.err != nil {
		return
	}
	n.life++
	n.c.did("start", n.ID, uint64(n.life))
	if n.life > 1 {
		n.c.Count[Restarts]++
	}
	if err := n.open(); err != nil {
		n.c.fail("server %d does not start: %w", n.ID, err)
		return
	}
	n.ready()
}

func (n *Node) open() (err error) {
	if err := n.disk.recover(); err != nil {
		return err
	}
	o := core.StorageOptions{ID: n.ID, Log: &n.disk, Stable: &n.disk, Joins: n.joins, Snapshot: n.snapshot, Install: n.disk.swap}
	var saved []byte
	if p := n.disk.checkpoint; p != nil {
		o.Start, o.Members, saved = p.at, p.members, p.state
	}
	if n.state, err = decode(saved); err != nil {
		return err
	}
	if n.store, err = core.OpenStorage(o); err != nil {
		return err
	}
	n.changed, n.told = o.Start.Index, o.Start.Index
	n.core, err = core.New(core.Options{
		Storage: n.store, Logger: n.c.opts.Logger,
		NoPreVote: n.c.opts.NoPreVote, NoCheckQuorum: n.c.opts.NoCheckQuorum,
	})
	return err
}

// ready takes what the core wants to have done.
func (n *Node) ready() {
	for n.c.err == nil {
		w, ok := n.core.Ready()
		if err := n.core.Err(); err != nil {
			n.c.fail("server %d: %w", n.ID, err)
			return
		}
		n.c.judge.leader(n)
		if !ok {
			return
		}
		n.c.send(n, w.Send)
		for _, x := range w.Writes {
			n.disk.queue = append(n.disk.queue, queued{x, n.ticks})
		}
		if w.Apply != nil {
			n.applies = append(n.applies, applies{w.Apply, w.Applied})
		}
		for _, tag := range w.Lost {
			n.c.judge.lost(n, tag.(*Proposal))
		}
		for _, tag := range w.Unknown {
			n.c.judge.unknown(tag.(*Proposal))
		}
		for _, r := range w.Reads {
			n.c.judge.read(n, r)
		}
		n.answer()
	}
}

// Tick is a tick of the server's clock. While a write takes as long as an election it does not
// count: others shall lead.
func (n *Node) Tick() {
	if !n.Up() {
		return
	}
	n.ticks++
	if n.withheld() {
		return
	}
	n.c.did("tick", n.ID, 0)
	n.core.Tick()
	n.ready()
}

// withheld reports whether the disk hangs.
func (n *Node) withheld() bool {
	return len(n.disk.queue) > 0 && n.ticks-n.disk.queue[0].tick > core.ElectionTicks && !n.c.opts.KeepTicking
}

// Hang has the disk hang, or ends that.
func (n *Node) Hang(hung bool) {
	n.c.did("hang", n.ID, uint64(len(n.disk.queue)))
	n.disk.hung = hung
}

// Write ends the oldest write of the disk, and reports whether there was one.
func (n *Node) Write() bool {
	if !n.Up() || n.disk.hung || len(n.disk.queue) == 0 {
		return false
	}
	w := n.disk.queue[0].Write
	if w.Snapshot != nil && len(n.written)+len(n.applies) > 0 {
		return false // the applier must be idle
	}
	n.disk.queue = n.disk.queue[1:]
	n.c.did("write", n.ID, uint64(len(w.Entries)))
	if err := n.disk.write(n.store, w); err != nil {
		n.c.fail("server %d writes: %w", n.ID, err)
		return false
	}
	if w.Snapshot != nil {
		n.installed()
	}
	n.written = append(n.written, w)
	return true
}

// Deliver tells the core of the oldest write that has ended, and reports whether there was one.
func (n *Node) Deliver() bool {
	if !n.Up() || len(n.written) == 0 {
		return false
	}
	w := n.written[0]
	n.written = n.written[1:]
	if w.Snapshot != nil {
		n.told = w.Snapshot.GetMetadata().GetIndex()
	}
	n.c.did("deliver", n.ID, uint64(len(n.written)))
	n.c.send(n, n.core.Deliver(w))
	n.ready()
	return true
}

// Pause has the server apply nothing, or ends that.
func (n *Node) Pause(paused bool) { n.paused = paused }

// Apply applies one entry, and reports whether there was one.
func (n *Node) Apply() bool {
	if !n.Up() || n.paused {
		return false
	}
	if n.loading != nil {
		n.load()
		return true
	}
	if len(n.applies) == 0 {
		return false
	}
	a := &n.applies[0]
	e := a.entries[0]
	a.entries = a.entries[1:]
	n.c.did("apply", n.ID, e.GetIndex())
	n.apply(e)
	if len(a.entries) == 0 {
		m := a.applied
		n.applies, n.told = n.applies[1:], e.GetIndex()
		n.core.Step(m)
	}
	n.ready()
	return true
}

func (n *Node) apply(e core.Committed) {
	var data []byte
	if e.GetType() == raftpb.EntryNormal {
		data = e.Data
	} else {
		members, err := n.core.ApplyMembers(e.Entry)
		if err != nil {
			n.c.fail("server %d applies members: %w", n.ID, err)
			return
		}
		n.changed, n.knows = e.GetIndex(), max(n.knows, e.GetIndex())
		n.c.judge.changed(n, e.GetIndex(), members)
	}
	if !n.c.judge.inOrder(n, e) {
		return
	}
	if _, err := n.state.apply(core.Point{Index: e.GetIndex(), Term: e.GetTerm()}, data); err != nil {
		n.c.fail("server %d applies %d: %w", n.ID, e.GetIndex(), err)
		return
	}
	n.c.judge.applied(n, e)
}

// work does the next thing that the server has to do, and reports whether there was one.
func (n *Node) work() bool {
	if n.c.err != nil {
		return false
	}
	return n.Write() || n.Deliver() || n.Offer() || n.Apply() || n.ordered && n.Up() && n.Checkpoint()
}

// snapshot is core.StorageOptions.Snapshot.
func (n *Node) snapshot() (*raftpb.Snapshot, error) {
	p := n.disk.checkpoint
	if p == nil || p.at.Index < n.changed {
		n.ordered = true
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &raftpb.Snapshot{
		Data:     p.state,
		Metadata: &raftpb.SnapshotMetadata{Index: &p.at.Index, Term: &p.at.Term, ConfState: proto.Clone(p.members).(*raftpb.ConfState)},
	}, nil
}

// Checkpoint begins a checkpoint, or makes the one durable that was begun.
func (n *Node) Checkpoint() bool {
	if !n.Up() || n.disk.hung || n.loading != nil {
		return false
	}
	if p := n.freezing; p != nil {
		n.c.did("checkpoint", n.ID, p.at.Index)
		n.c.Count[Checkpoints]++
		n.disk.checkpoint, n.disk.installed, n.freezing, n.ordered = p, false, nil, false
		return true
	}
	if p := n.disk.checkpoint; n.state.at.Index == 0 || p != nil && n.state.at.Index <= p.at.Index {
		n.ordered = false
		return false
	}
	n.c.did("freeze", n.ID, n.state.at.Index)
	n.freezing = &checkpoint{n.state.at, n.store.Members(), n.state.encode()}
	return true
}

// Compact removes entries that the checkpoint has and the core knows to be applied, but leaves so
// many of them.
func (n *Node) Compact(leave uint64) bool {
	p := n.disk.checkpoint
	if !n.Up() || p == nil || p.at.Index <= leave {
		return false
	}
	at := core.Point{Index: min(p.at.Index-leave, n.told)}
	if first, _ := n.store.FirstIndex(); at.Index < first {
		return false
	}
	var err error
	if at.Term, err = n.store.Term(at.Index); err != nil {
		n.c.fail("server %d compacts: %w", n.ID, err)
		return false
	}
	n.c.did("compact", n.ID, at.Index)
	n.c.Count[Compactions]++
	if err := n.store.Compact(at); err != nil {
		n.c.fail("server %d compacts: %w", n.ID, err)
	}
	return true
}

// Kill ends the process. What was handed to the disk gets there.
func (n *Node) Kill() {
	if n.Up() {
		n.c.did("kill", n.ID, uint64(len(n.disk.queue)))
		n.c.Count[Kills]++
		n.die(-1)
	}
}

// PowerCut ends the process, and of what was handed to the disk all but the first writes. One
// that removes and appends counts twice.
func (n *Node) PowerCut(writes int) {
	if n.Up() {
		n.c.did("power cut", n.ID, uint64(writes))
		n.c.Count[PowerCuts]++
		n.die(writes)
	}
}

func (n *Node) die(writes int) {
	for _, tag := range n.core.Abandon() {
		n.c.judge.unknown(tag.(*Proposal))
	}
	for _, a := range n.applies {
		for _, e := range a.entries {
			if o, ok := e.Tag.(*Proposal); ok {
				n.c.judge.unknown(o)
			}
		}
	}
	n.disk.end(n.store, writes)
	n.drop()
	n.core, n.store, n.state = nil, nil, nil
	n.written, n.applies, n.reads, n.freezing, n.loading, n.ordered, n.paused, n.installing = nil, nil, nil, nil, nil, false, false, false
}

// errDown is returned for a server that does not run.
var errDown = errors.New("the server is down")
