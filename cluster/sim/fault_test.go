//go:build keywatchfault

package sim_test

import (
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/cluster/sim"
	"keywatch/test/gate"
)

// faultSeeds is how many histories a fault is looked for in.
const faultSeeds = 4000

// findings are what the judges may say of each fault.
var findings = map[string][]string{
	"an answer before the fsync":      {"elsewhere", "lead in term", "tocommit", "was reported lost", "goes back"},
	"a forgotten vote":                {"lead in term"},
	"a stale read index":              {"was acknowledged before"},
	"a commit index that is not kept": {"lead in term", "elsewhere", "was reported lost"},
	"a join by the log":               {"removed all voters", "lead in term", "elsewhere", "no progress"},
	"a forgotten report":              {"no progress"},
}

// Without it a judge that sees nothing would pass everything: each mistake that a core can make
// must be found, and nothing without one.
func TestFaultsAreFound(t *testing.T) {
	seed := gate.Seed(t)
	for _, fault := range core.Faults {
		t.Run(fault, func(t *testing.T) { find(t, fault, seed) })
	}
	t.Run("none", func(t *testing.T) { tellAll(t, seed, 200) })
}

// firstSeed is where the search begins for a fault that few histories meet: near the one that does.
var firstSeed = map[string]uint64{"a forgotten vote": 2200}

// find plants a fault and looks for it in histories.
func find(t *testing.T, fault string, seed uint64) {
	core.Plant(fault)
	defer core.Plant("")
	seed += firstSeed[fault]
	for i := range uint64(faultSeeds) {
		_, err := tell(t, seed+i, sim.Options{})
		if err == nil {
			continue
		}
		t.Logf("found in history %d, %s=%d: %v", i+1, gate.SeedEnv, seed+i, err)
		for _, f := range findings[fault] {
			if strings.Contains(err.Error(), f) {
				return
			}
		}
		t.Fatalf("that is not what the fault does: want one of %q", findings[fault])
	}
	t.Errorf("not found in %d histories from %s=%d on", faultSeeds, gate.SeedEnv, seed)
}

// If this failed, the test of this name would pass whatever core did.
func TestCommitKeptFindsItsFault(t *testing.T) {
	core.Plant("a commit index that is not kept")
	defer core.Plant("")
	c := sim.New(sim.Options{Members: 3})
	if commitKept(t, c); !c.Node(3).Leads() || c.Leader() == c.Node(1) {
		t.Errorf("two of five have no leader of their own: %v", c.Err())
	}
}

// If this failed, TestJoinByLog would pass whatever core did.
func TestJoinByLogFindsItsFault(t *testing.T) {
	core.Plant("a join by the log")
	defer core.Plant("")
	c := sim.New(sim.Options{})
	l, n := lead(t, c, 1), c.Join()
	if err := l.Change(sim.Each(raftpb.ConfChangeAddNode, n.ID)...); err != nil {
		t.Fatal(err)
	}
	c.Settle()
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "the members are") {
		t.Errorf("who joined knows all members: %v", err)
	}
}
