package sim

import "slices"

// calm ends all that is bad, and judges that the cluster makes progress: that in a bounded time a
// server leads, what it proposes is applied by all members, and each of them answers a read.
func (h *History) calm() error {
	for _, n := range h.nodes {
		if h.opts.NoPreVote {
			h.retire(n) // it would disturb the others for ever
		}
	}
	h.did("calm", 0, 0)
	h.Heal()
	var g goal
	done := h.Until(calmRounds, func() bool { return g.reached(h.Cluster) })
	if !done && h.moving && !h.steward {
		return h.err
	}
	if !done {
		h.fail("no progress in %d rounds: %v", calmRounds, g.why)
	}
	h.alike()
	return h.err
}

// alike judges that all members have the same.
func (h *History) alike() {
	for _, n := range h.nodes {
		if h.err == nil && slices.Contains(h.config().Voters, n.ID) {
			h.judge.whole(n, h.judge.at(n.state.at.Index))
		}
	}
}

// A goal is the progress that a cluster must make.
type goal struct {
	proposed *Proposal
	by       *Node
	reads    []*Read
	asked    int // rounds since the reads began
	why      string
}

// reached reports whether all is done, and does what is to be done next.
func (g *goal) reached(c *Cluster) bool {
	l, members := c.Leader(), c.config()
	switch {
	case l == nil:
		g.why = "no leader"
	case len(members.VotersOutgoing) > 0:
		g.why = "members are joint"
	case g.proposed == nil || g.proposed.fate > answered || g.proposed.fate == pending && g.by != l:
		g.why = "nothing can be proposed"
		g.proposed, _ = l.Put(0)
		g.by = l
	case g.proposed.fate == pending:
		g.why = "a proposal has no answer"
	default:
		return g.all(c)
	}
	return false
}

// all reports whether all members have what was proposed, and answer reads.
func (g *goal) all(c *Cluster) bool {
	if g.asked++; g.asked%20 == 1 {
		g.reads = nil
	}
	members := c.config()
	for _, n := range c.nodes {
		if !isMember(members, n.ID) {
			continue
		}
		if n.Applied() < c.judge.acknowledged {
			g.why = "a member is behind"
			return false
		}
	}
	if g.reads == nil {
		for _, n := range c.nodes {
			if isMember(members, n.ID) {
				g.reads = append(g.reads, n.Read(0))
			}
		}
	}
	g.why = "a read has no answer"
	return !slices.ContainsFunc(g.reads, func(r *Read) bool { return !r.done })
}
