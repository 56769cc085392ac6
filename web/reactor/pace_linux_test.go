package reactor

import (
	"testing"
	"time"
)

// If this failed, a loop would have less than half of a processor that a busy thread wants too, and
// watchers would be told late.
func TestPaceSharesTheProcessor(t *testing.T) {
	var p pace
	at := time.Unix(100, 0)
	if !p.due(at) {
		t.Error("a loop that never gave way does not")
	}
	p.left(at, at.Add(3*time.Millisecond))
	for since, want := range map[time.Duration]bool{0: false, 3*time.Millisecond - 1: false, 3 * time.Millisecond: true} {
		if got := p.due(at.Add(3*time.Millisecond + since)); got != want {
			t.Errorf("%v after others had it for 3 ms: got %v, want %v", since, got, want)
		}
	}
}
