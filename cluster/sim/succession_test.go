package sim_test

import (
	"testing"

	"keywatch/cluster/sim"
)

// When the process of a leader has ended the others must have another one before a single tick has passed: without being
// told they would keep each other from being elected for the time of an election.
func TestLeaderThatEndedIsReplacedAtOnce(t *testing.T) {
	for _, members := range []int{3, 5} {
		c := begin(t, sim.Options{Members: members})
		old := lead(t, c, 2)
		commit(t, c, old, 1)
		c.Settle()
		old.Kill()
		for id := range uint64(members) {
			c.Node(id + 1).Notice()
		}
		c.Node(1).Succeed()
		c.Settle()
		if l := c.Leader(); l == nil || l.ID != 1 {
			t.Fatalf("of %d members none leads: %v", members, c.Err())
		}
		commit(t, c, c.Leader(), 1)
		old.Start()
		if !c.Until(timeouts, c.Even) {
			t.Error("they do not come together again")
		}
	}
}

// Those who notice it at different times must come together all the same: who did not know yet does not vote, and stands
// for election later.
func TestLeaderThatEndedIsNoticedByOneAfterTheOther(t *testing.T) {
	c := begin(t, sim.Options{Members: 3})
	lead(t, c, 1).Kill()
	c.Node(2).Notice()
	c.Node(2).Succeed()
	c.Settle()
	if l := c.Leader(); l != nil {
		t.Fatalf("server %d leads, which only it has voted for", l.ID)
	}
	c.Node(3).Notice()
	c.Node(3).Succeed()
	c.Settle()
	if c.Leader() == nil {
		t.Errorf("no server leads: %v", c.Err())
	}
}

// A server that is wrong about its leader, again and again, must not have another lead: the others hear that one.
func TestLeaderThatIsTakenForEnded(t *testing.T) {
	c := begin(t, sim.Options{Members: 3})
	l := lead(t, c, 1)
	before := c.Count[sim.Elections]
	for range timeouts {
		for id := uint64(2); id <= 3; id++ {
			c.Node(id).Notice()
			c.Node(id).Succeed()
			c.Round()
		}
		commit(t, c, l, 1)
	}
	if got := c.Count[sim.Elections] - before; got != 0 || !l.Leads() {
		t.Errorf("%d elections, want none", got)
	}
	if got := c.Count[sim.Notices]; got != 2 {
		t.Errorf("the leader of one term was forgotten %d times, want once by each", got)
	}
}
