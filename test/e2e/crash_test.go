package e2e_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// Traffic is writers at work, and everything that housekeeping does meanwhile.
type traffic struct {
	keep    *restarter
	top     *highWater
	writers []*writer
	running sync.WaitGroup
	end     context.CancelFunc
}

func startTraffic(t *testing.T, keep *restarter) *traffic {
	l := &traffic{keep: keep, top: new(highWater)}
	l.writers = newWriters(t, keep, l.top)
	ctx, cancel := context.WithCancel(t.Context())
	l.end = cancel
	hard := gate.Context(t)
	for _, w := range l.writers {
		l.running.Go(func() { w.run(ctx, hard) })
	}
	l.running.Go(func() { l.tidy(t, ctx) })
	return l
}

// tidy asks for checkpoints, and now and then for a compaction, so that kills
// fall into them.
func (l *traffic) tidy(t *testing.T, ctx context.Context) {
	cl := l.keep.client(t)
	for i := 0; ctx.Err() == nil; i++ {
		path := "/v1/admin/checkpoint"
		if i%16 == 15 {
			path = "/v1/admin/compact"
		}
		from := l.keep.server()
		a, err := cl.Do(ctx, load.Call{Method: "POST", Path: path})
		if err != nil {
			l.keep.after(ctx, from)
		} else if a.Status >= 300 {
			t.Errorf("%s: status %d: %s", path, a.Status, a.Body)
			return
		}
	}
}

// stop ends the load and reports what the writers found wrong.
func (l *traffic) stop(t *testing.T) {
	t.Helper()
	l.end()
	l.running.Wait()
	var writes int
	for _, w := range l.writers {
		writes += w.writes
		if w.err != nil {
			t.Error(w.err)
		}
	}
	if l.top.mu.err != nil {
		t.Error(l.top.mu.err)
	}
	t.Logf("%d writes acknowledged", writes)
}

// A bound is where the writes of one key stood.
type bound struct{ acked, tried int }

func (l *traffic) bounds() map[*ledger]bound {
	all := make(map[*ledger]bound)
	for _, w := range l.writers {
		for _, led := range w.ledgers {
			acked, tried := led.bounds()
			all[led] = bound{acked, tried}
		}
	}
	return all
}

// holds checks that entries are what every ledger stood at between before and
// after, and nothing else.
func holds(t *testing.T, entries map[string]load.Entry, before, after map[*ledger]bound) {
	t.Helper()
	for led, low := range before {
		e, found := entries[led.key]
		if _, err := led.find(found, e.Value, e.Version, low.acked, after[led].tried); err != nil {
			t.Error(err)
		}
		delete(entries, led.key)
	}
	for key := range entries {
		t.Errorf("the store has the key %s that nobody wrote", key)
	}
}

// TestKillsLoseNothing: kills under load, in the middle of checkpoints,
// segment changes and sweeps, lose no acknowledged write, bring none back, and
// never let a revision or a version go backwards.
func TestKillsLoseNothing(t *testing.T) { killsLoseNothing(t, 2) }

func TestProofKillsLoseNothing(t *testing.T) {
	gate.Long(t)
	killsLoseNothing(t, 10)
}

func killsLoseNothing(t *testing.T, kills int) {
	t.Parallel()
	dir := t.TempDir()
	keep := keep(t, dir, "--checkpoint-bytes", "256KiB")
	l := startTraffic(t, keep)
	for range kills {
		lasts(t, 500*time.Millisecond)
		keep.server().kill()
		atLeast := l.bounds()
		keep.restart(t) // and the writers go on at once
		entries, _ := keep.client(t).List(t, "")
		holds(t, entries, atLeast, l.bounds())
	}
	l.stop(t)
	keep.server().stop(t)
	last := keep.restart(t)
	entries, at := keep.client(t).List(t, "")
	holds(t, entries, l.bounds(), l.bounds())
	if p, err := load.ParsePosition(at); err != nil || p.Rev < l.top.get().Rev || p.Epoch != l.top.get().Epoch {
		t.Errorf("after all the position is %s (%v), want %v or later", at, err, l.top.get())
	}
	moved(t, dir, last)
}

// moved checks that the run wrote checkpoints and gave up log segments.
func moved(t *testing.T, dir string, s *server) {
	t.Helper()
	var status struct {
		Detail struct {
			Checkpoint struct {
				Rev uint64 `json:"rev"`
			} `json:"checkpoint"`
		} `json:"detail"`
	}
	a := newClient(t, s).Must(t, load.Call{Method: "GET", Path: "/v1/status"}, 200)
	if err := a.Decode(&status); err != nil || status.Detail.Checkpoint.Rev == 0 {
		t.Errorf("no checkpoint was made (%v): %s", err, a.Body)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "log-*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments: %q, %v", segments, err)
	}
	if first := filepath.Base(segments[0]); first == "log-00000001.seg" {
		t.Errorf("the first log segment is still there: %q", segments)
	}
}

// TestBackupUnderLoad: a backup taken while writers are at work holds one moment
// of the store; restored, it is another history, to which no ETag and no
// position of the first means anything.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	keep := keep(t, t.TempDir())
	old := keep.client(t).Put(t, "first", "1")
	l := startTraffic(t, keep)
	lasts(t, 300*time.Millisecond)
	before := l.bounds()
	file := filepath.Join(t.TempDir(), "store.backup")
	command(t, "backup", file, "--server", keep.url())
	after := l.bounds()
	lasts(t, 100*time.Millisecond)
	l.stop(t)
	_, last := keep.client(t).List(t, "first")

	dir := filepath.Join(t.TempDir(), "restored")
	command(t, "restore", file, "--data", dir)
	cl := newClient(t, serve(t, "--data", dir))
	entries, at := cl.List(t, "")
	if entries["first"].Value != "1" {
		t.Errorf("first is %+v, want the value 1", entries["first"])
	}
	delete(entries, "first")
	holds(t, entries, before, after)
	otherHistory(t, cl, old, last, at)
}

// otherHistory checks that what was true in an earlier history is not taken for
// something of the one that cl reads, which is at position now: old is an answer
// about the key first, last a position.
func otherHistory(t *testing.T, cl *load.Client, old *load.Answer, last, now string) {
	t.Helper()
	was, err := load.ParsePosition(last)
	if err != nil {
		t.Fatal(err)
	}
	is, err := load.ParsePosition(now)
	if err != nil {
		t.Fatal(err)
	}
	if is.Epoch == was.Epoch || is.Rev < 1<<32 {
		t.Errorf("position %s after %s, want another epoch and a revision from 2^32", now, last)
	}
	cl.Must(t, load.PutCall("first", "2").With("If-Match", old.ETag()), 412)
	cl.Must(t, load.GetCall("first").With("If-None-Match", old.ETag()), 200)
	ctx := gate.Context(t)
	s, err := cl.Watch(ctx, "/v1/watch?key=first", last)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if ev, err := s.Next(); err != nil || ev.Name != "reset" || ev.ID != is.Epoch+"-0" {
		t.Errorf("a watch from the old position opens with %+v (%v), want a reset with the id %s-0", ev, err, is.Epoch)
	}
}

// command runs a client command that must succeed.
func command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(gate.Context(t), binary, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("keywatch %q: %v\n%s", args, err, out)
	}
	return string(out)
}
