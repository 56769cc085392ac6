// Package gate decides which tests run. A long proof is a test whose name begins
// with TestProof and that calls Long first: it runs only where proofs are asked
// for. A test that needs a program besides Go calls Program or Missing: it is
// skipped where there is none, unless skipping is forbidden.
package gate

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

const (
	// ProveEnv is the environment variable that makes long proofs run if it is 1.
	ProveEnv = "KEYWATCH_PROVE"
	// RequireEnv is the environment variable that, if it is 1, makes a test fail
	// that would be skipped because a program is not installed.
	RequireEnv = "KEYWATCH_REQUIRE"
	// Prefix begins the names of all long proofs, and of no other test.
	Prefix = "TestProof"
)

// Proving reports whether long proofs run.
func Proving() bool { return os.Getenv(ProveEnv) == "1" }

// Long skips t unless long proofs run.
func Long(t testing.TB) {
	t.Helper()
	if !Proving() {
		t.Skipf("SKIPPED: a long proof; task prove or %s=1 runs it", ProveEnv)
	}
}

// Missing skips t, which needs what is named. It fails t where long proofs run or
// skipping is forbidden.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	what := fmt.Sprintf(format, args...)
	if Proving() || os.Getenv(RequireEnv) == "1" {
		t.Fatalf("%s, and %s or %s forbids skipping this test", what, ProveEnv, RequireEnv)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s", what)
}

// Program returns the path of the first of the programs that is installed. If none
// is, t ends as with Missing.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, "%s is not installed", names[0])
	return ""
}
