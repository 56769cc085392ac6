package wake_test

import (
	"testing"

	"keywatch/kv/wake"
)

// If this failed, a goroutine that wakes another could wait for it, or a token would be
// lost, and the other would sleep on.
func TestWakeNeverWaits(t *testing.T) {
	c := wake.New()
	for range 3 {
		c.Wake()
	}
	select {
	case <-c:
	default:
		t.Error("woken three times: there is no token")
	}
	select {
	case <-c:
		t.Error("woken three times: there are two tokens")
	default:
	}
	var zero wake.Chan
	zero.Wake()
}
