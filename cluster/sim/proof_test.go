package sim_test

import (
	"testing"

	"keywatch/test/gate"
)

// TestProofHistories: what TestHistories shows, for thousands of seeds.
func TestProofHistories(t *testing.T) {
	gate.Long(t)
	tellAll(t, gate.Seed(t), 2000)
}
