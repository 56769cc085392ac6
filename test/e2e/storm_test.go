package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// serverFDs is how many descriptors a server needs beside those of watchers.
const serverFDs = 600

// crowd returns how many watchers each of two clients is to have: as many as
// fit, up to most in all.
func crowd(t *testing.T, most int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := min(most, int(min(limit.Max, 1<<20))-serverFDs)
	return n / 2
}

// A crowdResult is the result of "keywatch bench fanout" as far as it matters here.
type crowdResult struct {
	Published, Expected, Delivered, Lost uint64
	Errors                               map[string]int
	Counts                               struct {
		Gaps, Duplicates, Disordered, Misdelivered, Resyncs, Refused uint64
	}
	CameBack []float64 `json:"came_back_s"`
}

// fanout loads s from a process of its own.
func (s *server) fanout(args ...string) (*crowdResult, error) {
	cmd := exec.Command(binary, append([]string{"bench", "fanout", "--server", s.url, "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var printed bytes.Buffer
	cmd.Stderr = &printed
	out, err := cmd.Output()
	var l crowdResult
	if jsonErr := json.Unmarshal(out, &l); jsonErr != nil {
		return nil, fmt.Errorf("bench: %w, %v: %s", jsonErr, err, printed.String())
	}
	return &l, nil
}

// whole says what is wrong with a load, "" if nothing.
func (l *crowdResult) whole() string {
	c := l.Counts
	if l.Lost+c.Gaps+c.Duplicates+c.Disordered+c.Misdelivered+c.Resyncs > 0 || l.Delivered == 0 || len(l.Errors) > 0 {
		return fmt.Sprintf("%+v", *l)
	}
	return ""
}

// both runs two clients with n watchers each at the same time, one with event
// streams and one with WebSockets, so that either gets descriptors that were the
// other's.
func (s *server) both(t *testing.T, n int, args ...string) []*crowdResult {
	t.Helper()
	loads := make([]*crowdResult, 2)
	var all sync.WaitGroup
	for i := range loads {
		all.Go(func() {
			own := []string{"--prefix", fmt.Sprintf("storm/%d/", i), "--watchers", strconv.Itoa(n), "--keys", strconv.Itoa(n), "--transport", []string{"sse", "ws"}[i]}
			var err error
			if loads[i], err = s.fanout(append(own, args...)...); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return loads
}

// figures are what a server uses.
type figures struct{ fds, goroutines, streams, sockets, watchers, rss int }

func (s *server) figures(t *testing.T, cl *load.Client) (f figures) {
	t.Helper()
	a := cl.Must(t, load.Call{Method: "GET", Path: "/metrics"}, 200)
	for line := range strings.Lines(a.Body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "go_goroutines":
			f.goroutines = int(n)
		case "keywatch_streams":
			f.streams = int(n)
		case "keywatch_sockets":
			f.sockets = int(n)
		case "keywatch_watchers":
			f.watchers = int(n)
		case "process_open_fds":
			f.fds = int(n)
		case "process_resident_memory_bytes":
			f.rss = int(n)
		}
	}
	return f
}

// settled waits until the server has let go of every watcher.
func (s *server) settled(t *testing.T, cl *load.Client, before figures) figures {
	t.Helper()
	ctx := gate.Context(t)
	for {
		f := s.figures(t, cl)
		if f.streams == 0 && f.sockets == 0 && f.watchers == 0 && f.fds <= before.fds+8 && f.goroutines <= before.goroutines+20 {
			return f
		}
		if load.Pause(ctx); ctx.Err() != nil {
			t.Fatalf("the server keeps %+v, before it had %+v", f, before)
		}
	}
}

// calmGrowth is by how many bytes a server may have grown once a storm is over:
// history grows with what is written, and the collector gives back in its own
// time. It is 2 KiB for each connection of the later rounds.
const calmGrowth = 80 << 20

// shrinks waits until the server takes no more memory than limit, in bytes.
func (s *server) shrinks(t *testing.T, cl *load.Client, limit int) {
	t.Helper()
	ctx := gate.Context(t)
	for {
		got := s.figures(t, cl).rss
		if got <= limit {
			return
		}
		if load.Pause(ctx); ctx.Err() != nil {
			t.Fatalf("the server keeps %d bytes, want %d at most", got, limit)
		}
	}
}

// TestReconnectStorm: thousands of watchers, each of a key of its own, that are
// cut off and reconnect all at once, miss nothing, get nothing twice and nothing
// of others, and leave neither descriptor nor goroutine nor memory behind.
func TestReconnectStorm(t *testing.T) { reconnectStorm(t, 400, 2, time.Second) }

func TestProofReconnectStorm(t *testing.T) {
	gate.Long(t)
	reconnectStorm(t, 19_000, 3, 4*time.Second)
}

// reconnectStorm has up to watchers cut off two times in each of some rounds, which
// write for the time d.
func reconnectStorm(t *testing.T, watchers, rounds int, d time.Duration) {
	s := serve(t, "--memory-only", "--max-connections", "20000") // all come at once
	cl := newClient(t, s)
	cl.Put(t, "warm", "up")
	n := crowd(t, watchers) / 100 * 100
	before := s.figures(t, cl)
	var first figures
	for round := range rounds {
		for _, l := range s.both(t, n, "--batch=100", "--rate=1000", "--conns=2", "--duration="+d.String(), "--drops=2", "--patience=4m") {
			if bad := l.whole(); bad != "" {
				t.Errorf("round %d: %s", round, bad)
			}
			t.Logf("round %d: %d watchers, %d delivered, all back after %.2f s", round, n, l.Delivered, l.CameBack)
		}
		after := s.settled(t, cl, before)
		if t.Logf("round %d: %+v, before it %+v", round, after, before); round == 0 {
			first = after
		}
		s.shrinks(t, cl, first.rss*3/2+calmGrowth)
	}
}

// TestChurnNeverMisdelivers: while connections come and go all the time, so that
// descriptors are used again and again, no client gets what is another's.
func TestChurnNeverMisdelivers(t *testing.T) { churnNeverMisdelivers(t, 100, time.Second) }

func TestProofChurnNeverMisdelivers(t *testing.T) {
	gate.Long(t)
	churnNeverMisdelivers(t, 500, 4*time.Second)
}

// churnNeverMisdelivers has twice as many watchers as given, which come and go for
// the time d.
func churnNeverMisdelivers(t *testing.T, watchers int, d time.Duration) {
	s := serve(t, "--memory-only")
	cl := newClient(t, s)
	cl.Put(t, "warm", "up")
	before := s.figures(t, cl)
	for _, l := range s.both(t, watchers, "--batch=50", "--rate=5000", "--conns=2", "--duration="+d.String(), "--churn=1000", "--patience=4m") {
		if bad := l.whole(); bad != "" {
			t.Error(bad)
		}
		t.Logf("%d delivered", l.Delivered)
	}
	s.settled(t, cl, before)
}
