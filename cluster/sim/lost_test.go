package sim_test

import (
	"testing"

	"keywatch/cluster/sim"
)

// Trap 9 (openraft 2095): a proposal is cut off from its server's log by a new leader, and returns all the same, because
// another server still has it and leads next. It must not be reported lost on the way: its client would send it again.
func TestProposalThatIsCutOffAndReturns(t *testing.T) {
	c := begin(t, sim.Options{Members: 5, NoPreVote: true, NoCheckQuorum: true})
	first, next := lead(t, c, 1), c.Node(5)
	commit(t, c, first, 1)
	c.Settle()
	c.Split(1, 2)
	p := put(t, first)
	c.Settle() // 1 and 2 have it
	next.Campaign()
	for !next.Leads() { // 3 and 4 vote for it, and get nothing of what it logs
		moved := c.Pass(5, 3) || c.Pass(3, 5)
		for id := uint64(3); id <= 5; id++ {
			moved = c.Node(id).Write() || c.Node(id).Deliver() || moved
		}
		if !moved && !c.Pass(5, 4) && !c.Pass(4, 5) {
			t.Fatalf("server 5 is not elected: %v", c.Err())
		}
	}
	c.Mend()
	c.Split(1, 5)
	q := put(t, next)
	c.Settle() // it takes the place of p in the log of 1
	if first.Leads() || p.Lost() || p.Unknown() || q.Answered() {
		t.Fatalf("server 1 leads: %v; what was cut off is lost: %v", first.Leads(), p.Lost())
	}
	next.Kill()
	lead(t, c, 2)
	c.Heal()
	if !c.Until(timeouts, c.Even) || !p.Answered() {
		t.Errorf("it returned, and its server does not answer it: %v", c.Err())
	}
}
