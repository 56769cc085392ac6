package cluster

import "go.etcd.io/raft/v3/raftpb"

// ChangeMember has the leader propose one change of members.
func (n *Node) ChangeMember(kind raftpb.ConfChangeType, id uint64) error {
	change := &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{{Type: &kind, NodeId: &id}}}
	return n.onLoop(func() error { return n.loop.core.ProposeMembers(change) })
}

// Campaign has a node stand for election at once.
func (n *Node) Campaign() { n.loop.ask(func() { n.loop.core.Campaign() }) }
