package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/kv"
)

var (
	// ErrMemberNotFound is returned for a server that the cluster does not have.
	ErrMemberNotFound = errors.New("the cluster has no such member")
	// ErrMemberExists is returned for a name that another server has which is reachable.
	ErrMemberExists = errors.New("another member has this name and is reachable")
	// ErrChangePending is returned while another change of the members is under way.
	ErrChangePending = errors.New("another change of the members is under way")
	// ErrNotCaughtUp is returned where a server lacks too much of the log to become a voter.
	ErrNotCaughtUp = errors.New("the server has not caught up with the log")
	// ErrQuorumAtRisk is returned where a change would leave no majority of voters that are
	// reachable.
	ErrQuorumAtRisk = errors.New("too few voters are reachable for this change")
	// ErrRemoved is returned for a server that was removed from the cluster.
	ErrRemoved = errors.New("the server was removed from this cluster")
	// ErrRefused is returned for a server that cannot join as it is.
	ErrRefused = errors.New("the server cannot join")
)

// Roster returns who the servers are, as this node has applied. Its lists must not be changed.
func (n *Node) Roster() Roster {
	if r := n.roster.Load(); r != nil {
		return r.Roster
	}
	return Roster{}
}

// Voters returns how many voters there are, as this node has applied.
func (n *Node) Voters() int { return len(n.store.Members().Voters) }

// A parsed roster is one with the text that it was read from.
type parsed struct {
	Roster
	from string
}

// readRoster looks whether the state has another roster. The loop calls it after entries were applied,
// and before the first.
func (n *Node) readRoster() error {
	if n.alone() {
		return nil
	}
	text := n.state().Roster()
	if r := n.roster.Load(); r != nil && r.from == text || r == nil && text == "" {
		return nil
	}
	r, err := ParseRoster(text)
	if err != nil {
		return err
	}
	if r.Level > n.opts.Level {
		return fmt.Errorf("the cluster has level %d, and this release knows up to %d: start this server with a later release", r.Level, n.opts.Level)
	}
	n.roster.Store(&parsed{r, text})
	if n.opts.Changed != nil {
		n.opts.Changed(r)
	}
	return nil
}

// A rostered is the tag of an entry with a roster. done is sent its fate, once.
type rostered struct{ done chan error }

// updateRoster has a leader log what f makes of the roster, and waits until it is applied. f may refuse.
// The caller holds the token for changes.
func (n *Node) updateRoster(ctx context.Context, f func(*Roster) error) error {
	done := make(chan error, 1)
	ok := n.loop.ask(func() {
		if err := n.proposeRoster(f, done); err != nil {
			done <- err
		}
	})
	if !ok {
		return kv.ErrStopping
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return kv.ErrOutcomeUnknown
	}
}

func (n *Node) proposeRoster(f func(*Roster) error, done chan error) error {
	l := &n.loop
	if l.leading == 0 {
		return kv.ErrNoLeader
	}
	if l.rostering {
		return ErrChangePending
	}
	now := n.Roster()
	next := now
	next.Members, next.Removed = slices.Clone(now.Members), slices.Clone(now.Removed)
	if next.Level == 0 {
		next.Level = n.ownLevel() // it begins
	}
	if err := f(&next); err != nil {
		return err
	}
	text := next.text()
	if text == now.text() {
		done <- nil
		return nil
	}
	if len(text) > kv.MaxRoster {
		return fmt.Errorf("%w: the roster would have %d bytes, at most %d are allowed", ErrRefused, len(text), kv.MaxRoster)
	}
	var b kv.EntryBuilder
	b.AddRoster(text)
	if err := l.core.Propose(rostered{done}, b.Finish(n.Now())); err != nil {
		return kv.ErrNoLeader
	}
	l.rostering = true
	return nil
}

// landedRoster tells who waits for a roster what became of it.
func (n *Node) landedRoster(r rostered, err error) {
	n.loop.rostering = false
	r.done <- err
}

// settleTime is how long a change of members may take until its caller is told that the outcome is
// unknown.
const settleTime = 10 * time.Second

// change has a leader change the members of Raft, and waits until that is applied, and until a joint
// configuration was left. The log must have a checkpoint before it, which is where a server begins that
// has nothing. The caller holds the token for changes.
func (n *Node) change(ctx context.Context, changes ...*raftpb.ConfChangeSingle) error {
	err := n.askChange(changes)
	if errors.Is(err, core.ErrNoCheckpoint) {
		if err = n.Checkpoint(ctx); err == nil {
			err = n.askChange(changes)
		}
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !changed(n.store.Members(), changes) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return kv.ErrOutcomeUnknown
		case <-n.loop.gone:
			return kv.ErrStopping
		}
	}
	return nil
}

// askChange has the loop propose a change.
func (n *Node) askChange(changes []*raftpb.ConfChangeSingle) error {
	done := make(chan error, 1)
	if !n.loop.ask(func() { done <- n.proposeChange(changes) }) {
		return kv.ErrStopping
	}
	return <-done
}

func (n *Node) proposeChange(changes []*raftpb.ConfChangeSingle) error {
	l := &n.loop
	switch {
	case l.leading == 0:
		return kv.ErrNoLeader
	case len(n.store.Members().VotersOutgoing) > 0:
		return ErrChangePending
	}
	err := l.core.ProposeMembers(&raftpb.ConfChangeV2{Changes: changes})
	switch {
	case errors.Is(err, core.ErrNoCheckpoint):
		return err
	case err != nil:
		return kv.ErrNoLeader
	}
	return nil
}

// changed reports whether members are what changes make of them.
func changed(m *raftpb.ConfState, changes []*raftpb.ConfChangeSingle) bool {
	if len(m.VotersOutgoing)+len(m.LearnersNext) > 0 {
		return false
	}
	for _, c := range changes {
		id := c.GetNodeId()
		voter, learner := slices.Contains(m.Voters, id), slices.Contains(m.Learners, id)
		switch c.GetType() {
		case raftpb.ConfChangeAddNode:
			if !voter {
				return false
			}
		case raftpb.ConfChangeAddLearnerNode:
			if !learner {
				return false
			}
		case raftpb.ConfChangeRemoveNode:
			if voter || learner {
				return false
			}
		}
	}
	return true
}

// changeOf returns one change of one server.
func changeOf(kind raftpb.ConfChangeType, id ServerID) *raftpb.ConfChangeSingle {
	node := uint64(id)
	return &raftpb.ConfChangeSingle{Type: &kind, NodeId: &node}
}

// oneChange runs f while no other change is under way. It fails with ErrChangePending.
func (n *Node) oneChange(f func() error) error {
	select {
	case <-n.changing:
	default:
		return ErrChangePending
	}
	defer func() { n.changing <- struct{}{} }()
	return f()
}
