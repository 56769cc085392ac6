package app

import (
	"go.etcd.io/raft/v3/raftpb"
)

// membersOf returns the members with which the log of a server begins: itself where the store began, none
// where it is to get those of others.
func membersOf(me nodeFile) (members *raftpb.ConfState, joins bool) {
	members = new(raftpb.ConfState)
	if me.Founder {
		members.Voters = []uint64{uint64(me.ID)}
	}
	return members, !me.Founder
}
