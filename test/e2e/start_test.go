package e2e_test

import (
	"keywatch/test/load"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestFirstLine: serve says in one line where it listens, where its data is and
// when a write is safe; nothing else is printed.
func TestFirstLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, "--data", dir)
	want := regexp.MustCompile(`^keywatch: http://127\.0\.0\.1:\d+ data=` + regexp.QuoteMeta(dir) + ` fsync=always$`)
	if !want.MatchString(s.line) {
		t.Errorf("first line %q, want %s", s.line, want)
	}
	t.Logf("ready %v after the process was started, on an empty folder", s.ready.Sub(s.began).Round(time.Millisecond))
	cl := newClient(t, s)
	cl.Must(t, load.Call{Method: "GET", Path: "/healthz"}, 200)
	cl.Must(t, load.Call{Method: "GET", Path: "/readyz"}, 200)
	a := cl.Put(t, "a", "1")
	if got, want := a.Header.Get("Keywatch-Durability"), "fsync; copies=1/1"; got != want {
		t.Errorf("Keywatch-Durability %q, want %q", got, want)
	}
	s.stop(t)
	if got := s.out.String(); got != "" {
		t.Errorf("the server also printed:\n%s", got)
	}
}

// TestFolderIsLocked: a second server on a folder that is in use ends at once
// and says why, and the first continues.
func TestFolderIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, "--data", dir)
	code, printed := refused(t, "--data", dir)
	if code != 1 || !strings.Contains(printed, dir) || !strings.Contains(printed, "process") {
		t.Errorf("the second server ended with code %d, want 1 and the reason; it printed:\n%s", code, printed)
	}
	newClient(t, s).Put(t, "a", "1")
	s.kill()
	s = serve(t, "--data", dir) // the lock of a process that is gone does not count
	newClient(t, s).Must(t, load.GetCall("a"), 200)
}

// TestPortIsTaken: a server whose port is in use ends and names it, without
// having made a data folder.
func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := filepath.Join(t.TempDir(), "new")
	code, printed := refused(t, "--listen", ln.Addr().String(), "--data", dir)
	if code != 1 || !strings.Contains(printed, ln.Addr().String()) {
		t.Errorf("exit code %d, want 1 and the address; it printed:\n%s", code, printed)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the data folder was made (%v)", err)
	}
}

// TestRefusedFlags: flags that would lose data or open the store to strangers by
// mistake are refused with a way out.
func TestRefusedFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		want string // part of what is printed
	}{
		{"an empty folder name", []string{"--data", ""}, "--memory-only"},
		{"all interfaces", []string{"--data", dir, "--listen", "0.0.0.0:0"}, "--insecure"},
		{"all interfaces without a host", []string{"--data", dir, "--listen", ":0"}, "--insecure"},
		{"an address that is none", []string{"--data", dir, "--listen", "7070"}, "listen"},
		{"an unknown durability", []string{"--data", dir, "--fsync", "never"}, "fsync"},
		{"an unknown flag", []string{"--data", dir, "--no-such-flag"}, "no-such-flag"},
		{"a bad limit", []string{"--data", dir, "--rate-limit", "much"}, "rate-limit"},
	} {
		code, printed := refused(t, c.args...)
		if code != 1 && code != 2 || !strings.Contains(printed, c.want) {
			t.Errorf("%s: exit code %d, want 1 or 2 and %q; it printed:\n%s", c.name, code, c.want, printed)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("a refused server left %v in the data folder (%v)", left, err)
	}
}

// TestInsecureListens: another address is served once that is said to be meant.
func TestInsecureListens(t *testing.T) {
	t.Parallel()
	s := serve(t, "--memory-only", "--listen", "0.0.0.0:0", "--insecure")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://127.0.0.1:" + port
	newClient(t, s).Put(t, "a", "1")
}

// TestMemoryOnly: nothing is kept, the answers say so, and each start is another
// history.
func TestMemoryOnly(t *testing.T) {
	t.Parallel()
	var positions []load.Position
	for range 2 {
		s := serve(t, "--memory-only")
		cl := newClient(t, s)
		cl.Must(t, load.GetCall("a"), 404)
		a := cl.Put(t, "a", "1")
		if got, want := a.Header.Get("Keywatch-Durability"), "memory; copies=1/1"; got != want {
			t.Errorf("Keywatch-Durability %q, want %q", got, want)
		}
		p, err := a.Position()
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, p)
		s.stop(t)
	}
	if positions[0].Epoch == positions[1].Epoch {
		t.Errorf("both histories have the epoch %s", positions[0].Epoch)
	}
	if _, err := os.Stat("keywatch-data"); !os.IsNotExist(err) {
		t.Errorf("memory-only made a data folder (%v)", err)
	}
}

// TestIntervalEpochs: with --fsync interval a start after a crash is another
// history, because acknowledged writes may be gone; a start after an ordered stop
// is the same one.
func TestIntervalEpochs(t *testing.T) {
	t.Parallel()
	args := []string{"--data", t.TempDir(), "--fsync", "interval"}
	s := serve(t, args...)
	first := newClient(t, s).Put(t, "first", "1")
	if got, want := first.Header.Get("Keywatch-Durability"), "buffered; copies=1/1"; got != want {
		t.Errorf("Keywatch-Durability %q, want %q", got, want)
	}
	at := positionNow(t, s)
	s.stop(t)
	s = serve(t, args...)
	if same := positionNow(t, s); same != at {
		t.Errorf("after an ordered stop the position is %s, want %s", same, at)
	}
	newClient(t, s).Must(t, load.PutCall("first", "1").With("If-Match", first.ETag()), 200)
	at = positionNow(t, s)
	s.kill()
	s = serve(t, args...)
	otherHistory(t, newClient(t, s), first, at, positionNow(t, s))
}

func positionNow(t *testing.T, s *server) string {
	t.Helper()
	_, at := newClient(t, s).List(t, "")
	return at
}

// TestEpochsFollowThePolicyThatCrashed: whether writes may be gone depends on the
// run that crashed, not on the one that starts.
func TestEpochsFollowThePolicyThatCrashed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	last := ""
	for i, c := range []struct {
		fsync string
		kill  bool
		// other is set if this start must be another history than the last run.
		other bool
	}{
		{fsync: "interval", kill: true},
		{fsync: "always", kill: true, other: true},
		{fsync: "always", kill: true},
		{fsync: "interval", kill: false},
		{fsync: "always", kill: true},
		{fsync: "interval", kill: true},
		{fsync: "interval", kill: true, other: true},
		{fsync: "always", kill: false, other: true},
	} {
		s := serve(t, "--data", dir, "--fsync", c.fsync)
		now := positionNow(t, s)
		was, _ := load.ParsePosition(last)
		is, err := load.ParsePosition(now)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && ((is.Epoch != was.Epoch) != c.other || is.Rev < was.Rev) {
			t.Errorf("start %d, fsync %s: position %s after %s, want another epoch: %v", i, c.fsync, now, last, c.other)
		}
		newClient(t, s).Put(t, "a", "1")
		last = positionNow(t, s)
		if c.kill {
			s.kill()
		} else {
			s.stop(t)
		}
	}
}
