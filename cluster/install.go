package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"keywatch/cluster/core"
	"keywatch/kv"
)

var (
	// errSnapshotOld is why a snapshot is refused that brings nothing new.
	errSnapshotOld = errors.New("this server has what the snapshot has, or follows another leader")
	// errInstalling is why one is refused while another is installed.
	errInstalling = errors.New("this server installs another snapshot")
	// errNoSnapshots is what a server refuses them with that takes none.
	errNoSnapshots = errors.New("this server takes no snapshots")
)

// An install is a snapshot of another server on its way to become the state of this one. Its
// head and staged belong to who has received it until it is offered, then to the loop.
type install struct {
	snapshotHead
	from   uint64
	conf   *raftpb.ConfState
	staged Staged
	// seq is the number of the newest batch that may be among what the snapshot has: it was handed
	// over before.
	seq uint64
	// writes are what Raft wants to have written from the snapshot on; accepted says that it
	// asks for the snapshot.
	writes   []core.Write
	accepted bool
	// begun says that it is being installed, loading that it is the checkpoint and is being
	// loaded. behind are the entries to be applied after it.
	begun, loading bool
	behind         []core.Work
}

// ReceiveSnapshot takes a snapshot from another server. It returns nil once it is here as a whole
// and Raft has accepted it; it is installed in the background. r ends with io.EOF if
// all of it has come.
func (n *Node) ReceiveSnapshot(ctx context.Context, from uint64, head []byte, r io.Reader) error {
	if n.opts.Snapshots == nil || n.alone() {
		return errNoSnapshots
	}
	in := &install{from: from, conf: new(raftpb.ConfState)}
	var err error
	if in.snapshotHead, err = decodeHead(head); err != nil {
		return err
	}
	if err := proto.Unmarshal(in.members, in.conf); err != nil {
		return fmt.Errorf("%w: %w", errHead, err)
	}
	if err := n.onLoop(func() error { return n.expect(in) }); err != nil {
		return err
	}
	if in.staged, err = n.opts.Snapshots.Stage(int64(in.size)); err != nil {
		return err
	}
	n.receiving.Add(1)
	defer n.receiving.Add(-1)
	n.opts.Logger.Info("a snapshot is received", "from", from, "index", in.index, "bytes", in.size)
	if err := n.stage(ctx, in, r); err != nil {
		return errors.Join(err, in.staged.Discard())
	}
	return nil
}

// stage receives a snapshot, verifies it, and offers it to Raft.
func (n *Node) stage(ctx context.Context, in *install, r io.Reader) error {
	if _, err := io.CopyBuffer(struct{ io.Writer }{in.staged}, struct{ io.Reader }{r}, make([]byte, shipPiece)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := in.staged.Verify(in.index, in.indexTerm, in.members); err != nil {
		return err
	}
	return n.onLoop(func() error { return n.offer(in) })
}

// onLoop has f called by the loop and returns what it does.
func (n *Node) onLoop(f func() error) error {
	done := make(chan error, 1)
	if !n.loop.ask(func() { done <- f() }) {
		return kv.ErrStopping
	}
	return <-done
}

// expect returns why a snapshot is of no use, nil if it may be of some.
func (n *Node) expect(in *install) error {
	l := &n.loop
	switch {
	case l.dead != nil:
		return kv.ErrStopping
	case l.install != nil:
		return errInstalling
	case in.term < l.core.CurrentTerm():
		return errSnapshotOld
	case in.index <= l.core.Commit():
		// Raft does not take it either, but its answer says how far this server is. The leader may
		// not know: it would send the same again.
		l.core.Step(in.message(n.opts.ID))
		return errSnapshotOld
	}
	in.seq = n.pending.seq
	return nil
}

// offer has Raft decide about a snapshot that is here as a whole.
func (n *Node) offer(in *install) error {
	l := &n.loop
	if l.dead != nil || n.closed.Load() {
		return kv.ErrStopping
	}
	if l.install != nil {
		return errInstalling
	}
	n.setInstall(in)
	l.core.Step(in.message(n.opts.ID))
	n.work()
	if !in.accepted {
		n.setInstall(nil)
		return errSnapshotOld
	}
	return nil
}

// setInstall notes the snapshot that Raft decides about, nil for none.
func (n *Node) setInstall(in *install) {
	n.loop.install = in
	n.installing.Store(in != nil)
}

// installs reports whether the state of another server is received or takes the place of this one's.
func (n *Node) installs() bool { return n.installing.Load() || n.receiving.Load() > 0 }

// message returns what Raft is told of a snapshot.
func (in *install) message(to uint64) *raftpb.Message {
	return &raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: &in.from, To: &to, Term: &in.term,
		Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &in.index, Term: &in.indexTerm, ConfState: in.conf}},
	}
}

// keepForInstall keeps a write that installs a snapshot, and those behind it, until beginInstall.
func (n *Node) keepForInstall(w core.Write) bool {
	in := n.loop.install
	switch {
	case w.Snapshot != nil && in == nil:
		n.fail(errors.New("raft wants to install a snapshot that is not here"))
		return true
	case in == nil || in.begun || !in.accepted && w.Snapshot == nil:
		return false
	}
	in.accepted = true
	in.writes = append(in.writes, w)
	return true
}

// beginInstall begins to install a snapshot that was accepted, once all that comes before it was
// written and applied.
func (n *Node) beginInstall() {
	l := &n.loop
	in := l.install
	if in == nil || !in.accepted || in.begun || l.writing > 0 || l.dead != nil {
		return
	}
	in.begun = true
	n.changeStatus(kv.ErrStarting)
	n.opts.Snapshots.Begin()
	for _, w := range in.writes {
		n.beginWrite(w)
	}
	in.writes = nil
}

// swap puts the checkpoint of another server in the place of this one's. The writer's goroutine
// calls it.
func (n *Node) swap(core.Point) error { return n.loop.install.staged.Install() }

// beginLoad loads the checkpoint that was installed.
func (n *Node) beginLoad() {
	in := n.loop.install
	in.loading = true
	n.loop.known.Store(in.index)
	n.background(func() {
		next, err := n.opts.Snapshots.Load()
		n.loop.ask(func() { n.loaded(next, err) })
	})
}

// loaded continues with the state of another server.
func (n *Node) loaded(next *kv.State, err error) {
	l := &n.loop
	in := l.install
	if l.dead != nil || n.closed.Load() {
		return
	}
	if err != nil {
		n.fail(fmt.Errorf("load the snapshot: %w", err))
		return
	}
	n.current.Store(next)
	n.opts.Snapshots.Replace(next)
	n.opts.Logger.Info("a snapshot is installed", "from", in.from, "index", in.index)
	n.setInstall(nil)
	l.applied, l.digests = core.Point{Index: in.index, Term: in.indexTerm}, nil
	n.jumpedOver(in.seq)
	if err := n.readRoster(); err != nil {
		n.fail(err)
		return
	}
	n.ticker.note(next.NextDeadline())
	n.releaseReads()
	n.refresh()
	for _, w := range in.behind {
		if l.dead == nil {
			n.applyWork(w)
		}
	}
	n.follow()
}

// jumpedOver tells those whose batch may be among what a snapshot has that its outcome is unknown:
// up to number seq, and handed to a leader.
func (n *Node) jumpedOver(seq uint64) {
	p := &n.pending
	for i := 0; i < len(p.list); {
		if o := p.list[i]; o.term != 0 && o.group.Seq <= seq {
			n.landed(p.remove(i).batch, nil, kv.ErrOutcomeUnknown)
		} else {
			i++
		}
	}
}

// dropInstall removes a snapshot whose installation has not begun when the loop ends.
func (n *Node) dropInstall() {
	in := n.loop.install
	if in == nil || in.begun {
		return
	}
	if err := in.staged.Discard(); err != nil {
		n.opts.Logger.Warn("a snapshot that is not needed was not removed", "err", err)
	}
}
