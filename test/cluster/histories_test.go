package cluster_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"keywatch/test/gate"
)

var (
	only      = flag.String("nemesis", "", "only nemeses whose names contain it")
	histories = flag.Int("histories", 24, "histories of the proof, in all")
	failovers = flag.Int("failovers", 10, "ends of the leader in the proof of leases and locks")
	rounds    = flag.Int("rounds", 1, "rounds of changes of members in their proof")
	clusters  = flag.Int("clusters", 3, "clusters that make them at the same time; the second has five nodes, the fsyncs of the third are held now and then")
)

// brief are the nemeses of the short form.
var brief = []string{"the leader alone", "one way from the leader", "half-open", "kill the leader", "pause all", "full disk"}

// TestHistories: whatever happens to three nodes, clients that ask any of them are told nothing
// that a store on one machine could not have said.
func TestHistories(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	seed := gate.Seed(t)
	var last *history
	for i, n := range nemeses() {
		if *only == "" && !slices.Contains(brief, n.name) || !strings.Contains(n.name, *only) {
			continue
		}
		last = newHistory(c, n, seed+uint64(i))
		if last.run(t); t.Failed() {
			return
		}
	}
	last.controls(t)
}

// TestProofHistories is the same for many histories, each with a nemesis drawn at random, of
// clusters with three and five nodes.
func TestProofHistories(t *testing.T) {
	gate.Long(t)
	seed := gate.Seed(t)
	for k := range *clusters {
		size, list, start := 3, slices.Concat(nemeses(), clocks()), func(t *testing.T, size int) *cluster { return newTurnable(t, size) }
		switch k {
		case 1:
			size = 5
		case 2:
			list, start = slices.Concat(nemeses(), disks(), disks()), func(t *testing.T, size int) *cluster { return newFaulty(t, size, "") }
		}
		list = slices.DeleteFunc(list, func(n nemesis) bool { return !strings.Contains(n.name, *only) })
		t.Run(fmt.Sprintf("%d nodes, %d", size, k), func(t *testing.T) {
			t.Parallel()
			c, rng := start(t, size), rand.New(rand.NewPCG(seed, uint64(k)))
			for i := k; i < *histories && !t.Failed(); i += *clusters {
				newHistory(c, list[rng.IntN(len(list))], rng.Uint64()).run(t)
			}
			c.told.check(t)
		})
	}
}
