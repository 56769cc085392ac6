package sim_test

import (
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/cluster/sim"
	"keywatch/test/gate"
)

// happen has up to n things happen in a cluster of five servers, in order, and reports whether there were so many.
func happen(c *sim.Cluster, n int) bool {
	for range n {
		moved := c.Carry(0)
		for id := uint64(1); id <= 5 && !moved; id++ {
			x := c.Node(id)
			moved = x.Write() || x.Deliver() || x.Apply()
		}
		if !moved {
			return false
		}
	}
	return true
}

// joint is a change of voters in two steps, and who votes after it.
type joint struct {
	changes []*raftpb.ConfChangeSingle
	voters  []uint64
}

// E11: the step that leaves a joint configuration is a proposal, which a transfer drops, and the leader may be one of those
// who leave (crdb 105578). At whatever moment of a change leadership is handed over, to a server that runs or to one that
// is down, the change must end within ten seconds of calm, though nothing is written.
func TestTransferDuringJointChange(t *testing.T) { transferAt(t, 6) }

// TestProofTransferDuringJointChange is the same for each moment.
func TestProofTransferDuringJointChange(t *testing.T) {
	gate.Long(t)
	transferAt(t, 1)
}

// transferAt looks at one moment in so many.
func transferAt(t *testing.T, every int) {
	add, remove := raftpb.ConfChangeAddNode, raftpb.ConfChangeRemoveNode
	for _, x := range []joint{
		{sim.Each(add, 4, 5), []uint64{1, 2, 3, 4, 5}},
		{append(sim.Each(add, 4), sim.Each(remove, 1)...), []uint64{2, 3, 4}},
	} {
		for _, down := range []bool{false, true} {
			moment := 0
			for transferDuring(t, x, moment, down) {
				moment += every
			}
			if moment < 60 {
				t.Errorf("to the voters %v: the change has only %d moments", x.voters, moment)
			}
		}
	}
}

// transferDuring hands leadership over once so many things have happened of a change. It reports whether there were so many.
func transferDuring(t *testing.T, x joint, moment int, down bool) bool {
	t.Helper()
	c := begin(t, sim.Options{Members: 3})
	l := lead(t, c, 1)
	members(t, c, raftpb.ConfChangeAddLearnerNode, c.Join().ID, c.Join().ID)
	c.Settle()
	if err := l.Change(x.changes...); err != nil {
		t.Fatal(err)
	}
	more := happen(c, moment)
	if down {
		c.Node(2).Kill()
	}
	l.Transfer(2)
	left := func() bool {
		l := c.Leader()
		return l != nil && len(l.Members().VotersOutgoing) == 0 && slices.Equal(slices.Sorted(slices.Values(l.Members().Voters)), x.voters)
	}
	if !c.Until(10*core.ElectionTicks, left) {
		say := "no leader"
		if l := c.Leader(); l != nil {
			say = fmt.Sprint(l.Members())
		}
		t.Fatalf("moment %d, the next leader is down: %v: ten seconds later: %s: %v", moment, down, say, c.Err())
	}
	return more
}

// E12: of two voters and a learner the learner becomes a voter, and gets what was written next; the leader ends before it has
// told anyone that this is committed. Who has everything does not know that it votes, and does not stand for election
// (etcd 12359). To bring the one back that is down must end that, with nothing lost.
func TestVoterThatDoesNotKnowThatItVotes(t *testing.T) {
	c := begin(t, sim.Options{Members: 2})
	l := lead(t, c, 1)
	members(t, c, raftpb.ConfChangeAddLearnerNode, c.Join().ID)
	c.Settle()
	if err := l.Change(sim.Each(raftpb.ConfChangeAddNode, 3)...); err != nil {
		t.Fatal(err)
	}
	c.Pass(1, 2) // the change, and not what comes next
	c.Cut(1, 2, false)
	p := put(t, l)
	for c.Pass(1, 3) {
	}
	c.Cut(1, 3, false)
	c.Settle()
	if !p.Answered() {
		t.Fatalf("the leader and the new voter are a majority, and nothing is acknowledged: %v", c.Err())
	}
	l.Kill()
	c.Mend()
	if c.Until(3*timeouts, func() bool { return c.Leader() != nil }) {
		t.Fatalf("server %d leads: there is no trap", c.Leader().ID)
	}
	l.Start()
	if !c.Until(timeouts, func() bool { return c.Leader() != nil && c.Even() }) {
		t.Errorf("with all servers: %v", c.Err())
	}
	answered(t, c, c.Node(2))
}

// E16: a server that was removed, and does not know it, asks for votes for ever. It must cause no election.
func TestRemovedServerThatRuns(t *testing.T) {
	for _, o := range []sim.Options{{Members: 3}, {Members: 3, NoPreVote: true, NoCheckQuorum: true}} {
		c := begin(t, o)
		l := lead(t, c, 1)
		c.Split(3)
		if err := l.Change(sim.Each(raftpb.ConfChangeRemoveNode, 3)...); err != nil {
			t.Fatal(err)
		}
		c.Settle()
		commit(t, c, l, 1)
		if got := l.Members().Voters; len(got) != 2 {
			t.Fatalf("the voters are %v, want two", got)
		}
		before, term := c.Count[sim.Elections], l.Core().CurrentTerm()
		c.Mend()
		for range 3 * timeouts {
			c.Round()
		}
		elected := c.Count[sim.Elections] > before || !l.Leads() || l.Core().CurrentTerm() != term
		if elected != o.NoPreVote {
			t.Errorf("%+v: there was an election: %v", o, elected)
		}
		if !o.NoPreVote {
			commit(t, c, l, 1)
		}
	}
}
