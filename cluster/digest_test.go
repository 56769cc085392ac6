package cluster

import "testing"

// If the digest after an entry were that after another, servers that are the same would be told to differ.
func TestDigestsAreKept(t *testing.T) {
	var d digests
	for i := uint64(1); i <= digestEvery*(digestsKept+3); i++ {
		d.note(i, func() uint64 { return i * 3 })
	}
	if len(d) != digestsKept {
		t.Errorf("%d are kept, want %d", len(d), digestsKept)
	}
	for _, c := range []struct {
		index uint64
		ok    bool
	}{{0, false}, {1, false}, {digestEvery, false}, {3 * digestEvery, false}, {4 * digestEvery, true}, {4*digestEvery + 1, false}, {digestEvery * (digestsKept + 3), true}} {
		if sum, ok := d.at(c.index); ok != c.ok || ok && sum != c.index*3 {
			t.Errorf("after entry %d: got %d, %v, want %v", c.index, sum, ok, c.ok)
		}
	}
}
