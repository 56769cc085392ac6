package sim_test

import (
	"strings"
	"testing"
	"testing/cryptotest"

	"keywatch/cluster/sim"
	"keywatch/test/gate"
)

// tell tells the history of a seed.
func tell(t *testing.T, seed uint64, o sim.Options) (*sim.History, error) {
	cryptotest.SetGlobalRandom(t, seed)
	h := sim.NewHistory(seed, o)
	return h, h.Run()
}

// shown is how many of the last steps a failure shows without -v.
const shown = 80

// explain tells the history of a seed again and fails t with its steps.
func explain(t *testing.T, seed uint64) {
	t.Helper()
	h, err := tell(t, seed, sim.Options{Record: true})
	steps := h.Steps()
	if len(steps) > shown && !testing.Verbose() {
		steps = steps[len(steps)-shown:]
	}
	t.Fatalf("%s=%d: %v\nthe last of %d steps:\n%s", gate.SeedEnv, seed, err, len(h.Steps()), strings.Join(steps, "\n"))
}

// tellAll tells the histories of n seeds from the first on, and returns what was in them.
func tellAll(t *testing.T, seed uint64, n int) (all sim.Counts) {
	t.Helper()
	for range n {
		h, err := tell(t, seed, sim.Options{})
		if err != nil {
			explain(t, seed)
		}
		all.Add(h.Count)
		seed++
	}
	for _, kind := range all.Missing() {
		t.Errorf("in %d histories there were no %v", n, kind)
	}
	t.Logf("%d histories: %v", n, &all)
	return all
}

// If this failed, a cluster would lose what was acknowledged, read what is old, have two leaders,
// or not come to life again after what it has been through.
func TestHistories(t *testing.T) { tellAll(t, gate.Seed(t), 100) }

// If this failed, a seed would not be a history, and what it has found could not be told again.
func TestSeedsRepeat(t *testing.T) {
	seed := gate.Seed(t)
	for i := range uint64(20) {
		h, err := tell(t, seed+i, sim.Options{})
		again, errAgain := tell(t, seed+i, sim.Options{Record: true})
		if h.Hash() != again.Hash() || h.Count != again.Count || err != nil || errAgain != nil {
			t.Errorf("%s=%d ends with %x, then with %x (%v, %v)", gate.SeedEnv, seed+i, h.Hash(), again.Hash(), err, errAgain)
		}
	}
}

// BenchmarkHistories reports how many histories one core tells in a second, and what is in one.
func BenchmarkHistories(b *testing.B) {
	var all sim.Counts
	seed := gate.Seed(b)
	for b.Loop() {
		h := sim.NewHistory(seed, sim.Options{})
		if err := h.Run(); err != nil {
			b.Fatalf("%s=%d: %v", gate.SeedEnv, seed, err)
		}
		all.Add(h.Count)
		seed++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "histories/s")
	for kind, n := range all {
		b.ReportMetric(float64(n)/float64(b.N), sim.Kind(kind).String()+"/history")
	}
}
