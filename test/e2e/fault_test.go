package e2e_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
	"keywatch/watch/watchtest"
)

// planted are faults that another build of the hub has, by their names there, the
// rule that each breaks, and what more the server is told.
var planted = []struct {
	fault string
	rule  watchtest.Rule
	args  []string
}{
	{"an event is dropped", watchtest.Reliable, nil},
	{"an event comes twice", watchtest.Unique, nil},
	{"two revisions change places", watchtest.Ordered, nil},
	{"a revision loses its end", watchtest.Atomic, nil},
	{"an event goes to another watcher", watchtest.Filtered, nil},
	{"a position is left out", watchtest.Bookmarked, nil},
	{"a version is wrong", watchtest.Consistent, nil},
	{"a watch resumes one revision late", watchtest.Resumable, nil},
	{"a resync lacks a deletion", watchtest.Converged, tinyHistory},
	{"a state has an old version", watchtest.Converged, tinyHistory},
}

var tinyHistory = []string{"--history", "16KiB", "--tombstone-max", "20"}

// TestProofFaultyServersAreFound: the tests above would notice a server whose hub
// tells what is not so: each rule is broken on purpose by a real server, over real connections.
func TestProofFaultyServersAreFound(t *testing.T) {
	gate.Long(t)
	faulty := buildFaulty(t)
	for _, p := range planted {
		t.Run(p.fault, func(t *testing.T) {
			t.Parallel()
			for range 10 { // a fault need not strike where it can be seen
				if slices.Contains(broken(t, faulty, p.fault, p.args), p.rule) {
					return
				}
			}
			t.Errorf("it was never found not to be %s (seed %d)", p.rule, *seed)
		})
	}
	t.Run("no fault", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{nil, tinyHistory} {
			if got := broken(t, faulty, "", args); len(got) > 0 {
				t.Errorf("got %v broken without a fault (seed %d)", got, *seed)
			}
		}
	})
}

// buildFaulty builds the command with faults in its hub and returns its path.
func buildFaulty(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keywatch")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags=keywatchfault", "-o", path, "keywatch/app/keywatch")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// TestProofCrowdsFindFaults: the crowds of the tests above would notice that one of
// them gets what is another's, gets something twice, or is told again what it knew when it reconnected.
func TestProofCrowdsFindFaults(t *testing.T) {
	gate.Long(t)
	faulty := buildFaulty(t)
	for fault, count := range map[string]func(l *crowdResult) uint64{
		"an event goes to another watcher":   func(l *crowdResult) uint64 { return l.Counts.Misdelivered },
		"an event comes twice":               func(l *crowdResult) uint64 { return l.Counts.Duplicates },
		"a watch resumes one revision early": func(l *crowdResult) uint64 { return l.Counts.Duplicates },
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s, err := launchOf(gate.Context(t), faulty, fault, "--memory-only")
			if err != nil {
				t.Fatal(err)
			}
			defer s.end(t)
			for i, l := range s.both(t, 100, "--batch=50", "--rate=5000", "--duration=2s", "--drops=2", "--churn=200", "--patience=1m") {
				if count(l) == 0 {
					t.Errorf("client %d did not find it: %+v", i, *l)
				}
			}
		})
	}
}

// broken returns the rules that a server of the build breaks in a second.
func broken(t *testing.T, build, fault string, args []string) (rules []watchtest.Rule) {
	t.Helper()
	s, err := launchOf(gate.Context(t), build, fault, append([]string{"--memory-only", "--heartbeat", "50ms"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.end(t)
	keep := &restarter{}
	keep.mu.now = s
	a := observe(t, keep, func(*load.Audience) { lasts(t, time.Second) })
	for _, l := range a.Streamers {
		r := l.Record()
		r.Ample = args == nil
		for _, v := range watchtest.Judge(a.History(), r) {
			if !slices.Contains(rules, v.Rule) {
				t.Logf("%s: %.300v", l.Name, v)
				rules = append(rules, v.Rule)
			}
		}
	}
	return rules
}
