package e2e_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

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

// TestFaultyServersAreFound: the tests above would notice a server whose hub
// lies: each rule is broken on purpose by a real server, over real connections.
func TestFaultyServersAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command a second time")
	}
	faulty := filepath.Join(t.TempDir(), "keywatch")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags=keywatchfault", "-o", faulty, "keywatch/app/keywatch").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, p := range planted {
		t.Run(p.fault, func(t *testing.T) {
			t.Setenv("KEYWATCH_FAULT", p.fault)
			for range 10 { // a fault need not strike where it can be seen
				if slices.Contains(broken(t, faulty, p.args), p.rule) {
					return
				}
			}
			t.Errorf("it was never found not to be %s (seed %d)", p.rule, *seed)
		})
	}
	t.Run("no fault", func(t *testing.T) {
		for _, args := range [][]string{nil, tinyHistory} {
			if got := broken(t, faulty, args); len(got) > 0 {
				t.Errorf("got %v broken without a fault (seed %d)", got, *seed)
			}
		}
	})
}

// broken returns the rules that a server of the build breaks in a second.
func broken(t *testing.T, build string, args []string) (rules []watchtest.Rule) {
	t.Helper()
	s, err := launchOf(within(t, startTime), build, append([]string{"--memory-only", "--heartbeat", "50ms"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.end(t)
	keep := &restarter{}
	keep.mu.now = s
	h, list := observe(t, keep, func([]*streamer) { lasts(t, time.Second) })
	for _, l := range list {
		r := l.record()
		r.Ample = args == nil
		for _, v := range watchtest.Judge(h, r) {
			if !slices.Contains(rules, v.Rule) {
				t.Logf("%s: %.300v", l.name, v)
				rules = append(rules, v.Rule)
			}
		}
	}
	return rules
}
