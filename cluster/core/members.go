package core

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// ErrNoCheckpoint is returned by ProposeMembers while the log begins with its first entry.
var ErrNoCheckpoint = errors.New("the log has no checkpoint before it: a newcomer would not learn who the members are")

// ProposeMembers logs a change of members. One that Raft finds out of place is logged as an
// entry without data. It fails with ErrNotLeader or ErrDropped, or with ErrNoCheckpoint: who joins
// must begin with a snapshot, because the members of the beginning are in no entry.
func (c *Core) ProposeMembers(change *raftpb.ConfChangeV2) error {
	defer c.catch()
	if c.term == 0 {
		return ErrNotLeader
	}
	if c.store.whole() && !faulty(joinByLog) {
		return ErrNoCheckpoint
	}
	if err := c.raw.ProposeConfChange(change); err != nil {
		return ErrDropped
	}
	return nil
}

// leaveJoint has a change of voters end that is between its two steps for as long as an election takes. Raft proposes the
// second step whenever an entry was applied, and does not repeat that if it is lost, as happens while leadership is
// handed over: without another entry no other change would ever be possible.
func (c *Core) leaveJoint() {
	if c.term == 0 || len(c.store.Members().VotersOutgoing) == 0 {
		c.joint = 0
		return
	}
	if c.joint++; c.joint%ElectionTicks == 0 {
		_ = c.raw.ProposeConfChange(new(raftpb.ConfChangeV2)) // what is out of place is logged as an entry without data
	}
}

// Transfer has another voter stand for election at once, as soon as it has what this server has. Until
// then, or for the time of an election, proposals fail with ErrDropped.
func (c *Core) Transfer(to uint64) {
	defer c.catch()
	c.raw.TransferLeader(to)
}

// ReportSnapshot tells Raft that a snapshot has arrived at another server, or never will: until
// then, or until that server says that it has it, Raft sends nothing else there.
func (c *Core) ReportSnapshot(to uint64, arrived bool) {
	defer c.catch()
	if faulty(forgottenReport) && !arrived {
		return
	}
	status := raft.SnapshotFailure
	if arrived {
		status = raft.SnapshotFinish
	}
	c.raw.ReportSnapshot(to, status)
}

// ApplyMembers applies an entry that is a change of members, and returns the members. It must be
// called for each, in order, while the entries of Work.Apply are applied, and after Ready if there
// was a Step.
func (c *Core) ApplyMembers(e *raftpb.Entry) (members *raftpb.ConfState, err error) {
	defer func() { err = errors.Join(err, c.broken) }()
	defer c.catch()
	var change raftpb.ConfChangeV2
	if err := proto.Unmarshal(e.Data, &change); err != nil {
		return nil, fmt.Errorf("log entry %d: change of members: %w", e.GetIndex(), err)
	}
	if e.GetIndex() <= c.restored {
		members, err = changed(c.store.Members(), &change)
	} else {
		members = c.raw.ApplyConfChange(&change)
	}
	if err == nil && c.broken == nil {
		c.store.setMembers(members, e.GetIndex())
	}
	return members, err
}

// changed returns what a change makes of members. Raft knows only the newest ones: once it has
// accepted the state of another server it has those of that state, and entries that were handed out
// before must not change them.
func changed(members *raftpb.ConfState, change *raftpb.ConfChangeV2) (*raftpb.ConfState, error) {
	changer := confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0)}
	cfg, progress, err := confchange.Restore(changer, members)
	if err != nil {
		return nil, err
	}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, progress
	if change.LeaveJoint() {
		cfg, _, err = changer.LeaveJoint()
	} else if autoLeave, joint := change.EnterJoint(); joint {
		cfg, _, err = changer.EnterJoint(autoLeave, change.Changes...)
	} else {
		cfg, _, err = changer.Simple(change.Changes...)
	}
	changer.Tracker.Config = cfg
	return changer.Tracker.ConfState(), err
}
