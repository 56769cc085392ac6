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
	histories = flag.Int("histories", 60, "histories of the proof, in all")
	clusters  = flag.Int("clusters", 3, "clusters that make them at the same time; one has five nodes, the others three")
)

// brief are the nemeses of the short form.
var brief = []string{"the leader alone", "one way from the leader", "half-open", "kill the leader", "pause all", "full disk"}

// TestHistories: whatever happens to three nodes, clients that ask any of them are told nothing
// that a store on one machine could not have said.
func TestHistories(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	seed := gate.Seed(t)
	for i, n := range nemeses() {
		if *only == "" && slices.Contains(brief, n.name) || *only != "" && strings.Contains(n.name, *only) {
			newHistory(c, n, seed+uint64(i)).run(t)
		}
		if t.Failed() {
			return
		}
	}
}

// TestProofHistories is the same for many histories, each with a nemesis drawn at random, of
// clusters with three and five nodes.
func TestProofHistories(t *testing.T) {
	gate.Long(t)
	seed := gate.Seed(t)
	list := slices.DeleteFunc(nemeses(), func(n nemesis) bool { return !strings.Contains(n.name, *only) })
	for k := range *clusters {
		size := 3
		if k == 0 && *clusters > 1 {
			size = 5
		}
		t.Run(fmt.Sprintf("%d nodes, %d", size, k), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, size)
			rng := rand.New(rand.NewPCG(seed, uint64(k)))
			for i := k; i < *histories && !t.Failed(); i += *clusters {
				newHistory(c, list[rng.IntN(len(list))], rng.Uint64()).run(t)
			}
		})
	}
}
