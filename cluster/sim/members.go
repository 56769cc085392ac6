package sim

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"keywatch/cluster/core"
)

// isMember reports whether a server is one of the members.
func isMember(m *raftpb.ConfState, id uint64) bool {
	return slices.Contains(m.Voters, id) || slices.Contains(m.Learners, id) ||
		slices.Contains(m.VotersOutgoing, id) || slices.Contains(m.LearnersNext, id)
}

// config returns the newest members that some server has applied.
func (c *Cluster) config() *raftpb.ConfState {
	if c.judge.config == nil {
		c.judge.config = &raftpb.ConfState{Voters: []uint64{1}}
	}
	return c.judge.config
}

// running returns how many servers are not gone.
func (c *Cluster) running() (n int) {
	for _, x := range c.nodes {
		if !x.gone {
			n++
		}
	}
	return n
}

// join starts a server that has nothing, if few run and none waits.
func (h *History) join() {
	if h.spare() == nil && h.running() < mostServers {
		h.Join()
	}
}

// spare returns a server that runs and has not been a member, nil if there is none.
func (h *History) spare() *Node {
	for _, n := range h.nodes {
		if n.joins && !n.member && !n.gone {
			return n
		}
	}
	return nil
}

// change has the leader propose other members. Where the log has no checkpoint before it, that
// comes first.
func (h *History) change() {
	l := h.Leader()
	if l == nil || len(l.Members().VotersOutgoing) > 0 {
		return
	}
	changes := h.learn(l.Members())
	if h.rng.IntN(3) > 0 || changes == nil {
		changes = h.vote(l, l.Members())
	}
	if changes == nil || l.Change(changes...) != core.ErrNoCheckpoint { // who cannot now can later
		return
	}
	for l.Checkpoint() { // it begins, and then is durable
	}
	l.Compact(0)
}

// learn returns a change of a learner, nil for none: one more, or one less.
func (h *History) learn(now *raftpb.ConfState) []*raftpb.ConfChangeSingle {
	switch s := h.spare(); {
	case s != nil && len(now.Learners) < 3:
		return Each(raftpb.ConfChangeAddLearnerNode, s.ID)
	case len(now.Learners) > 0 && h.rng.IntN(4) == 0:
		return Each(raftpb.ConfChangeRemoveNode, h.shuffled(now.Learners)[0])
	}
	return nil
}

// vote returns a change of voters, nil for none. A steward promotes who has caught up, has an odd
// number of voters always, and removes neither a leader nor half of the voters: if those who leave
// are needed for a majority, and have more in their logs than those who stay, no server can lead.
// Without a steward none of that holds, and a cluster may not come to life again.
func (h *History) vote(l *Node, now *raftpb.ConfState) []*raftpb.ConfChangeSingle {
	in, out, most := h.shuffled(now.Learners), h.shuffled(now.Voters), 2
	if h.steward {
		in = slices.DeleteFunc(in, func(id uint64) bool { return !h.caughtUp(l, id) })
		out = slices.DeleteFunc(out, func(id uint64) bool { return id == l.ID })
		most = (len(now.Voters) - 1) / 2
	}
	for range 6 {
		in, out := in[:h.rng.IntN(len(in)+1)], out[:h.rng.IntN(min(len(out), most)+1)]
		voters := len(now.Voters) + len(in) - len(out)
		if voters < 1 || voters > 5 || h.steward && voters%2 == 0 || len(in)+len(out) == 0 {
			continue
		}
		return append(Each(raftpb.ConfChangeAddNode, in...), Each(raftpb.ConfChangeRemoveNode, out...)...)
	}
	return nil
}

// Each returns changes of one kind, each of another server.
func Each(kind raftpb.ConfChangeType, ids ...uint64) (changes []*raftpb.ConfChangeSingle) {
	for _, id := range ids {
		changes = append(changes, &raftpb.ConfChangeSingle{Type: &kind, NodeId: &id})
	}
	return changes
}

// caughtUp reports whether a learner has what the leader has applied.
func (h *History) caughtUp(l *Node, id uint64) bool {
	p := l.core.Status().Progress[id]
	return p.State == tracker.StateReplicate && p.Match >= l.Applied()
}

// retire ends a server that is no member any more, for ever. A steward waits until all voters know
// that it is none: before that they may need it.
func (h *History) retire(n *Node) {
	for _, id := range h.config().Voters {
		if h.steward && h.Node(id).knows < h.judge.latest {
			return
		}
	}
	if !n.gone && n.member && !isMember(h.config(), n.ID) {
		n.Kill()
		n.gone = true
		h.did("retire", n.ID, 0)
		h.Count[Removals]++
	}
}
