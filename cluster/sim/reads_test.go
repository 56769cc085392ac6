package sim_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/sim"
)

// answered waits until a read has its value.
func answered(t *testing.T, c *sim.Cluster, n *sim.Node) {
	t.Helper()
	r := n.Read(0)
	if !c.Until(timeouts, r.Done) {
		t.Errorf("server %d does not answer a read: %v", n.ID, c.Err())
	}
}

// unanswered has some rounds pass in which a read must not be answered.
func unanswered(t *testing.T, c *sim.Cluster, r *sim.Read) {
	t.Helper()
	if c.Until(timeouts, r.Done) {
		t.Error("a leader of before has answered a read")
	}
}

// An observer must not count: a leader that was cut off with one would read what is old.
func TestReadBesideAnObserver(t *testing.T) {
	c := begin(t, sim.Options{Members: 3, NoCheckQuorum: true})
	old := lead(t, c, 1)
	observer := c.Join()
	members(t, c, raftpb.ConfChangeAddLearnerNode, observer.ID)
	c.Split(1, observer.ID)
	commit(t, c, lead(t, c, 2), 1)
	if !old.Leads() {
		t.Fatal("it knows that it does not lead: nothing is tested")
	}
	unanswered(t, c, old.Read(0))
	unanswered(t, c, observer.Read(0))
}

// An answer that was on its way before a read began must not count for it.
func TestReadAndOldAnswers(t *testing.T) {
	c := begin(t, sim.Options{Members: 3, NoPreVote: true, NoCheckQuorum: true})
	old := lead(t, c, 1)
	c.Settle()
	old.Tick()
	for _, id := range []uint64{2, 3} {
		for c.Pass(1, id) {
		}
	}
	between := func() { // what 2 and 3 tell each other; what they told 1 stays on its way
		for moved := true; moved; {
			moved = c.Pass(2, 3) || c.Pass(3, 2)
			for _, id := range []uint64{2, 3} {
				for n := c.Node(id); n.Write() || n.Deliver() || n.Apply(); {
					moved = true
				}
			}
		}
	}
	c.Node(2).Campaign()
	between()
	p := put(t, c.Node(2))
	between()
	if !p.Answered() || !old.Leads() {
		t.Fatal("two leaders of two terms are needed")
	}
	r := old.Read(0)
	if !c.Pass(2, 1) || !c.Pass(3, 1) || r.Done() || !old.Leads() {
		t.Errorf("read done: %v, still leads: %v, want no answer yet", r.Done(), old.Leads())
	}
}

// What others have applied is committed, and a leader that has not applied it must not read
// without it.
func TestReadBeforeTheLeaderApplies(t *testing.T) {
	c := begin(t, sim.Options{Members: 3})
	l := lead(t, c, 1)
	l.Pause(true)
	p := put(t, l)
	c.Settle()
	answered(t, c, c.Node(2))
	r := l.Read(0)
	for range 3 {
		c.Round()
	}
	if r.Done() || p.Answered() {
		t.Error("a read or a proposal was answered that was not applied")
	}
	l.Pause(false)
	if !c.Until(timeouts, r.Done) || !p.Answered() {
		t.Error("no answer once it is applied")
	}
}

// A read must not wait for what never comes: right after an election, and after a change of
// members, there is nothing to be written.
func TestReadWithoutWrites(t *testing.T) {
	c := begin(t, sim.Options{Members: 3})
	lead(t, c, 1)
	for _, id := range []uint64{2, 3, 1} {
		l := succeed(t, c, id)
		for n := range uint64(3) {
			answered(t, c, c.Node(n+1))
		}
		answered(t, c, l)
	}
	n := c.Join()
	members(t, c, raftpb.ConfChangeAddLearnerNode, n.ID)
	for id := range uint64(4) {
		answered(t, c, c.Node(id+1))
	}
}

// The only voter knows after a start only what its log says is committed, and must not read what
// is older than what it has acknowledged.
func TestReadAfterStartOfTheOnlyVoter(t *testing.T) {
	c := begin(t, sim.Options{})
	n := lead(t, c, 1)
	observer := c.Join()
	members(t, c, raftpb.ConfChangeAddLearnerNode, observer.ID)
	commit(t, c, n, 5)
	n.PowerCut(0)
	n.Start()
	for n.Campaign(); !n.Leads(); {
		n.Write()
		n.Deliver()
	}
	early := []*sim.Read{n.Read(0), observer.Read(0)}
	for range 3 {
		for c.Pass(observer.ID, 1) || c.Pass(1, observer.ID) { // the disk of the voter is slow
		}
		n.Tick()
	}
	for _, r := range early {
		if r.Done() {
			t.Error("a read was answered before the new term has an entry")
		}
	}
	c.Settle()
	answered(t, c, n)
	answered(t, c, observer)
}
