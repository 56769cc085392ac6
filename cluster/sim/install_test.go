package sim_test

import (
	"testing"

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
		if !p.Lost() {
			t.Fatal("a proposal that is nowhere any more was not reported lost")
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
