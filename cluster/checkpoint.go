package cluster

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"keywatch/cluster/core"
	"keywatch/kv"
)

// Checkpoints keep the state as it is after an entry, so that the log before it can go.
type Checkpoints interface {
	// Checkpoint writes cp, the state after the entry at index, which has term, and members,
	// nil for a server that is alone. cp belongs to it: it commits or aborts cp.
	Checkpoint(cp *kv.Checkpoint, index, term uint64, members []byte) error
	// Last returns what the last call of Checkpoint that succeeded was given; zeros if
	// there was none.
	Last() (index, term uint64, members []byte)
}

// MemoryCheckpoints are those of a server that keeps nothing: a checkpoint only lets it cut
// its log.
type MemoryCheckpoints struct{}

// Checkpoint commits cp.
func (MemoryCheckpoints) Checkpoint(cp *kv.Checkpoint, _, _ uint64, _ []byte) error {
	cp.Commit()
	return nil
}

// Last returns zeros: there is nothing to start from.
func (MemoryCheckpoints) Last() (index, term uint64, members []byte) { return 0, 0, nil }

// Checkpoint writes a checkpoint and lets go of the log before it. It waits until that is
// done, or ctx ends: then the checkpoint continues in the background, and Close waits for it. It does nothing
// while nothing was ever applied.
func (n *Node) Checkpoint(ctx context.Context) error {
	select {
	case <-n.checkpointing:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1) // the outcome, sent once
	if err := n.beginCheckpoint(done); err != nil {
		n.checkpointing <- struct{}{}
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beginCheckpoint begins a checkpoint. A server that is alone does not ask the loop, which may be waiting
// for room in the log that only a checkpoint can make; with others the loop knows which members
// belong to the state.
func (n *Node) beginCheckpoint(done chan<- error) error {
	if n.alone() {
		return n.freeze(done)
	}
	frozen := make(chan error, 1)
	if !n.loop.ask(func() { frozen <- n.freezeMember(done) }) {
		return kv.ErrStopping
	}
	return <-frozen
}

// freezeMember is freeze on a server with others, whose state may be about to be replaced.
func (n *Node) freezeMember(done chan<- error) error {
	if n.loop.install != nil {
		return kv.ErrStarting
	}
	return n.freeze(done)
}

// freeze begins a checkpoint between two entries, and has it written in the background.
func (n *Node) freeze(done chan<- error) error {
	if n.state().Applied() == 0 {
		n.checkpointing <- struct{}{}
		done <- nil
		return nil
	}
	members, err := n.members()
	if err != nil {
		return err
	}
	cp, err := n.state().Freeze()
	if err != nil {
		return err
	}
	write := func() {
		at := core.Point{Index: cp.Meta().Index, Term: cp.Meta().Term}
		err := n.opts.Checkpoints.Checkpoint(cp, at.Index, at.Term, members)
		if err == nil {
			err = n.compact(at)
		}
		n.checkpointing <- struct{}{}
		done <- err
	}
	if !n.background(write) {
		cp.Abort()
		return kv.ErrStopping
	}
	return nil
}

// background runs f, for which Close waits; ok is false if the node has ended.
func (n *Node) background(f func()) (ok bool) {
	n.ending.Lock()
	defer n.ending.Unlock()
	if n.ended {
		return false
	}
	n.writing.Go(f)
	return true
}

// members returns what a checkpoint says of the members, as of what was applied last.
func (n *Node) members() ([]byte, error) {
	if n.alone() {
		return nil, nil
	}
	return proto.Marshal(n.store.Members())
}

// errMembers is returned by Open for a store of several servers that is to be opened by one that
// does not say that it is one of them.
var errMembers = errors.New("this store has several servers, and this server is told that it is alone: " +
	"it would take writes that the others do not have; start it as one of them")

// membersOf returns the members that a store begins with: those of its checkpoint, or those
// that the options name.
func (o *Options) membersOf(kept []byte) (*raftpb.ConfState, error) {
	if o.Members == nil && (len(kept) > 0 || o.Log.Kept() > 0) {
		return nil, errMembers
	}
	if len(kept) == 0 {
		return o.Members, nil
	}
	m := new(raftpb.ConfState)
	if err := proto.Unmarshal(kept, m); err != nil {
		return nil, fmt.Errorf("members of the checkpoint: %w", err)
	}
	return m, nil
}
