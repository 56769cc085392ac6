package sim_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/sim"
)

// A leader that was cut off has entries that were never committed, more than those that were
// committed meanwhile. The state of another must take their place: once, and for good.
func TestLongerTailIsReplaced(t *testing.T) {
	c := begin(t, sim.Options{Members: 3, NoCheckQuorum: true})
	old := lead(t, c, 1)
	commit(t, c, old, 5)
	c.Split(1)
	var tail []*sim.Proposal
	for range 50 {
		tail = append(tail, put(t, old))
	}
	l := lead(t, c, 2)
	commit(t, c, l, 10)
	for l.Checkpoint() {
	}
	l.Compact(0)
	c.Heal()
	if !c.Until(timeouts, c.Even) {
		t.Fatalf("it does not catch up: %v", c.Err())
	}
	commit(t, c, l, 1)
	c.Until(timeouts, c.Even)
	for _, p := range tail {
		if !p.Unknown() {
			t.Fatal("who waits for a proposal that is nowhere any more was not told")
		}
	}
	if got := c.Count[sim.Installs]; got != 1 {
		t.Errorf("installs: got %d, want 1", got)
	}
	for range 2 {
		commit(t, c, succeed(t, c, 1), 1)
		succeed(t, c, 2)
	}
}

// A server that applies slowly gets the state of another while it has a change of members to apply.
// That must not change the members of the state, which Raft has already: it would come to others
// than everybody else, or find that the change makes no sense any more.
func TestMembersBehindAnInstall(t *testing.T) {
	c := begin(t, sim.Options{Members: 3})
	l, slow, first, second := lead(t, c, 1), c.Node(3), c.Join(), c.Join()
	members(t, c, raftpb.ConfChangeAddLearnerNode, first.ID)
	slow.Pause(true)
	members(t, c, raftpb.ConfChangeRemoveNode, first.ID)
	c.Split(slow.ID)
	members(t, c, raftpb.ConfChangeAddLearnerNode, second.ID)
	before := c.Count[sim.Installs]
	for l.Checkpoint() {
	}
	l.Compact(0)
	c.Mend()
	for range timeouts {
		c.Round()
	}
	slow.Pause(false)
	if !c.Until(timeouts, c.Even) || c.Count[sim.Installs] == before {
		t.Errorf("%d installs, want 1 more: %v", c.Count[sim.Installs]-before, c.Err())
	}
}

// A leader that did not learn that its proposal was committed gets the state of another, which has
// it. It must not report it lost: its client would send it again.
func TestProposalBehindAnInstall(t *testing.T) {
	c := begin(t, sim.Options{Members: 3, NoCheckQuorum: true})
	old := lead(t, c, 1)
	commit(t, c, old, 3)
	p := put(t, old)
	for c.Pass(1, 2) {
	}
	for c.Node(2).Write() {
	}
	c.Split(1)
	l := lead(t, c, 2)
	commit(t, c, l, 10)
	for l.Checkpoint() {
	}
	l.Compact(0)
	c.Heal()
	if !c.Until(timeouts, c.Even) || c.Count[sim.Installs] != 1 {
		t.Fatalf("it does not catch up: %v", c.Err())
	}
	commit(t, c, l, 1)
	c.Until(timeouts, c.Even)
	if !p.Unknown() {
		t.Error("a proposal that an install has jumped over has a fate that its proposer cannot know")
	}
}

// A server whose answers were lost has more than its leader knows, and is sent a snapshot that it has
// no use for. It must say how far it is: the leader would send the same for ever.
func TestSnapshotThatIsNotNeeded(t *testing.T) {
	c := begin(t, sim.Options{Members: 3})
	l := lead(t, c, 1)
	commit(t, c, l, 3)
	c.Cut(3, 1, false)
	commit(t, c, l, 10)
	for l.Checkpoint() {
	}
	commit(t, c, l, 5)
	l.Compact(0)
	l.Core().Unreachable(3) // so that the leader asks what it has
	c.Mend()
	if got := c.Node(3).Applied(); got < l.Applied()-1 {
		t.Fatalf("server 3 is at %d, want about %d", got, l.Applied())
	}
	caughtUp := func() bool { return l.Core().Status().Progress[3].Match >= l.Applied() }
	if !c.Until(timeouts, caughtUp) || c.Count[sim.Installs] > 0 {
		t.Errorf("%d installs, and the leader knows of %d, want %d", c.Count[sim.Installs], l.Core().Status().Progress[3].Match, l.Applied())
	}
}
