package gate

import "testing"

// If this failed, a run of the tests that passed could fail the next time, or -count would
// try the same choices again.
func TestSeedsAreTheSameInEveryRun(t *testing.T) {
	if got := []uint64{nextSeed(t, "TestA", ""), nextSeed(t, "TestB", "")}; got[0] != 10170188379733688964 || got[0] == got[1] {
		t.Errorf("first seeds: got %v", got)
	}
	if first, again := nextSeed(t, "TestC", ""), nextSeed(t, "TestC", ""); first == again {
		t.Errorf("the second run of a test has the seed of the first, %d", first)
	}
	if got := nextSeed(t, "TestA", "17"); got != 17 {
		t.Errorf("a seed that was asked for: got %d, want 17", got)
	}
	if one, two := nextSeed(t, "TestA", "random"), nextSeed(t, "TestA", "random"); one == two {
		t.Error("two random seeds are equal")
	}
}
