package gate_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// A recorder is a test that only notes how it ended.
type recorder struct {
	testing.TB
	skipped, failed bool
	said            string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped, r.said = true, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed, r.said = true, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// ends runs f in a test and returns how that ended.
func ends(t *testing.T, f func(t testing.TB)) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() { defer close(done); f(r) }()
	<-done
	return r
}

// If a long proof ran in every test run, the tests would not be run; if it were
// skipped where proofs are asked for, nothing would be proved.
func TestLong(t *testing.T) {
	t.Setenv(gate.ProveEnv, "")
	if r := ends(t, gate.Long); !r.skipped || !strings.Contains(r.said, gate.ProveEnv) {
		t.Errorf("without %s: %+v, want it skipped with its name", gate.ProveEnv, r)
	}
	t.Setenv(gate.ProveEnv, "1")
	if r := ends(t, gate.Long); r.skipped || r.failed {
		t.Errorf("with %s=1: %+v, want it to run", gate.ProveEnv, r)
	}
}

// If a missing program failed a newcomer's run, or passed unseen where everything
// is to be tested, the result of a run would say nothing.
func TestProgram(t *testing.T) {
	t.Setenv(gate.ProveEnv, "")
	t.Setenv(gate.RequireEnv, "")
	absent := func(t testing.TB) { gate.Program(t, "keywatch-no-such-program") }
	if r := ends(t, absent); !r.skipped || !strings.Contains(r.said, "keywatch-no-such-program is not installed") {
		t.Errorf("%+v, want it skipped with its reason", r)
	}
	for _, env := range []string{gate.ProveEnv, gate.RequireEnv} {
		t.Run(env, func(t *testing.T) {
			t.Setenv(env, "1")
			if r := ends(t, absent); !r.failed || !strings.Contains(r.said, env) {
				t.Errorf("%+v, want it failed", r)
			}
		})
	}
	var path string
	r := ends(t, func(t testing.TB) { path = gate.Program(t, "keywatch-no-such-program", "go") })
	if r.skipped || r.failed || !strings.HasSuffix(path, "go") {
		t.Errorf("%+v and %q, want the path of go", r, path)
	}
}
