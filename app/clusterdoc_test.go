package app_test

import (
	"testing"
	"time"

	"keywatch/app"
	"keywatch/cluster"
)

// If this failed, a server that is gone would be shown as one that is not behind.
func TestLagThatIsNotKnown(t *testing.T) {
	heard := time.Now()
	for name, c := range map[string]struct {
		member cluster.Standing
		want   int64
	}{
		"heard":       {cluster.Standing{Reachable: true, Heard: heard, Lag: 90 * time.Millisecond}, 90},
		"gone":        {cluster.Standing{Heard: heard, Lag: 90 * time.Millisecond}, -1},
		"not heard":   {cluster.Standing{Reachable: true}, -1},
		"never there": {cluster.Standing{Reachable: true, Heard: heard, Lag: 100 * 365 * 24 * time.Hour}, -1},
	} {
		if got := app.DocumentOf(&c.member, new(cluster.Standings)).LagMS; got != c.want {
			t.Errorf("%s: got %d ms, want %d", name, got, c.want)
		}
	}
}
