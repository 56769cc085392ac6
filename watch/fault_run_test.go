//go:build !keywatchfault

package watch_test

import (
	"os/exec"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// The faults are in another build of the hub, so that this one has none. Without
// this test it would not be known whether the validators still find them.
func TestProofFaultsOfTheHub(t *testing.T) {
	gate.Long(t)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-timeout=1h",
		"-tags=keywatchfault", "-run=^TestFaultsOfTheHubAreFound$", ".")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: TestFaultsOfTheHubAreFound/") < 20 {
		t.Fatalf("%v\n%s", err, out)
	}
}
