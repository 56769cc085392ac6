//go:build !keywatchfault

package sim_test

import (
	"os/exec"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// TestProofFaultsAreFound: the faults are in another build of core, so that this one has none.
// Without this test it would not be seen whether the judges still find them.
func TestProofFaultsAreFound(t *testing.T) {
	gate.Long(t)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-timeout=1h",
		"-tags=keywatchfault", "-run=Fault", ".")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: ") != 10 { // six faults, none, and three tests around them
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
