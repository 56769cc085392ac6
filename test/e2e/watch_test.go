package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// A follower keeps a watch open through every restart.
type follower struct {
	name, path, accept string
	pick               func(key string) bool // the keys that path watches
	fold               *fold
	cut                int // connections that ended without a bye
	// live is the server whose changes are being followed.
	live atomic.Pointer[server]
}

func followers() []*follower {
	all := func(string) bool { return true }
	some := func(key string) bool { return strings.HasPrefix(key, "f/1") || key == "f/5" || key == "f/end" }
	return []*follower{
		{name: "SSE, everything", path: "/v1/watch?prefix=", accept: "text/event-stream", pick: all},
		{name: "NDJSON, everything", path: "/v1/watch?prefix=", accept: "application/x-ndjson", pick: all},
		{name: "SSE, some keys", path: "/v1/watch?key=f/5&key=f/end&prefix=f/1", accept: "text/event-stream", pick: some},
	}
}

// run follows until the key f/end is put.
func (f *follower) run(ctx context.Context, keep *restarter, cl *load.Client) error {
	f.fold = newFold()
	for {
		from := keep.server()
		err := f.connect(ctx, cl, from)
		if _, ended := f.fold.cells["f/end"]; ended || ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		// The connection ended: the next server continues.
		keep.after(ctx, from)
	}
}

// connect follows one connection, to the server from. Its end is no error, what breaks the
// contract is.
func (f *follower) connect(ctx context.Context, cl *load.Client, from *server) error {
	s, err := cl.Open(ctx, f.path, f.accept, f.fold.lastID)
	if err != nil {
		return nil
	}
	defer s.Close()
	f.fold.connected()
	for {
		ev, err := s.Next()
		if err != nil {
			f.cut++
			return nil
		}
		if err := f.fold.apply(ev); err != nil {
			return err
		}
		if ev.Name == "bye" {
			return f.goodbye(s, ev)
		}
		if f.fold.phase == "live" {
			f.live.Store(from)
		}
		if _, ended := f.fold.cells["f/end"]; ended && f.fold.phase == "live" && f.fold.open == 0 {
			return nil
		}
	}
}

// goodbye checks how a server that stops ends a stream.
func (f *follower) goodbye(s *load.Stream, ev load.Event) error {
	if ev.Code != "stopping" {
		return fmt.Errorf("bye with the code %q, want stopping", ev.Code)
	}
	if !s.NDJSON && s.Retry == "" {
		return fmt.Errorf("bye without a retry")
	}
	if more, err := s.Next(); err == nil {
		return fmt.Errorf("%+v after bye", more)
	}
	return nil
}

// scribble changes keys at random until ctx ends, whatever the answers are.
func scribble(ctx, hard context.Context, keep *restarter, cl *load.Client, name int) {
	rng := rand.New(rand.NewPCG(*seed, uint64(name)))
	key := func() string { return fmt.Sprintf("f/%d", rng.IntN(30)) }
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		value := fmt.Sprintf("%d.%d", name, n)
		c := load.PutCall(key(), value)
		switch rng.IntN(5) {
		case 0:
			c = load.Call{Method: "DELETE", Path: "/v1/kv/" + key()}
		case 1:
			b := load.Batch{}
			for _, i := range rng.Perm(30)[:5] {
				b.Ops = append(b.Ops, load.OpPut(fmt.Sprintf("f/%d", i), value))
			}
			c = b.Call()
		}
		from := keep.server()
		if _, err := cl.Do(hard, c); err != nil {
			keep.after(ctx, from)
		}
		<-tick.C
	}
}

// allFollow waits until every follower follows s.
func allFollow(t *testing.T, list []*follower, s *server) {
	t.Helper()
	ctx := gate.Context(t)
	for _, f := range list {
		for f.live.Load() != s {
			if ctx.Err() != nil {
				t.Fatalf("%s does not follow the server at %s", f.name, s.url)
			}
			load.Pause(ctx)
		}
	}
}

// TestWatchThroughRestarts: watchers that reconnect with the last id they were
// given, through servers that stop and servers that are killed, see no version
// twice, miss none while history lasts, and hold in the end what the store holds.
func TestWatchThroughRestarts(t *testing.T) { watchThroughRestarts(t, 2) }

func TestProofWatchThroughRestarts(t *testing.T) {
	gate.Long(t)
	watchThroughRestarts(t, 8)
}

func watchThroughRestarts(t *testing.T, restarts int) {
	t.Parallel()
	keep := keep(t, t.TempDir(), "--heartbeat", "200ms")
	hard := gate.Context(t)
	ctx, cancel := context.WithCancel(hard)
	defer cancel()
	var writing, watching sync.WaitGroup
	list := followers()
	for _, f := range list {
		cl := keep.client(t)
		watching.Go(func() {
			if err := f.run(hard, keep, cl); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 3 {
		cl := keep.client(t)
		writing.Go(func() { scribble(ctx, hard, keep, cl, i) })
	}
	for i := range restarts {
		lasts(t, 200*time.Millisecond)
		allFollow(t, list, keep.server())
		if i%2 == 0 {
			keep.server().stop(t)
		} else {
			keep.server().kill()
		}
		keep.restart(t)
	}
	cancel()
	writing.Wait()
	cl := keep.client(t)
	cl.Put(t, "f/end", "")
	watching.Wait()
	entries, _ := cl.List(t, "")
	for _, f := range list {
		if diff := f.fold.differs(entries, f.pick); diff != "" {
			t.Errorf("%s (seed %d):\n%s", f.name, *seed, diff)
		}
		if f.fold.byes == 0 || f.cut == 0 || f.fold.resumes == 0 {
			t.Errorf("%s: %d byes, %d cuts, %d resumes, want some of each", f.name, f.fold.byes, f.cut, f.fold.resumes)
		}
		t.Logf("%s: %d byes, %d cuts, %d resumes, %d resyncs, %d resets",
			f.name, f.fold.byes, f.cut, f.fold.resumes, f.fold.resyncs, f.fold.resets)
	}
}

// TestFoldFindsMistakes: the watcher of these tests would notice events that are
// missing, repeated, torn apart or marked wrongly.
func TestFoldFindsMistakes(t *testing.T) {
	t.Parallel()
	put := func(key string, rev uint64, version int, id string) load.Event {
		return load.Event{Name: "put", ID: id, Entry: load.Entry{Key: key, Rev: rev, Version: version}}
	}
	opening := []load.Event{{Name: "reset", ID: "aaaaaaaa-0"}, put("a", 3, 2, ""), {Name: "synced", ID: "aaaaaaaa-3"}}
	for _, c := range []struct {
		name   string
		events []load.Event
		bad    bool
	}{
		{"in order", []load.Event{put("a", 4, 3, ""), put("b", 4, 1, "aaaaaaaa-4")}, false},
		{"a version left out", []load.Event{put("a", 5, 4, "aaaaaaaa-5")}, true},
		{"a revision twice", []load.Event{put("a", 4, 3, "aaaaaaaa-4"), put("a", 4, 3, "aaaaaaaa-4")}, true},
		{"a revision torn apart", []load.Event{put("a", 4, 3, ""), put("b", 5, 1, "aaaaaaaa-5")}, true},
		{"progress within a revision", []load.Event{put("a", 4, 3, ""), {Name: "progress", ID: "aaaaaaaa-4"}}, true},
		{"a deletion of nothing", []load.Event{{Name: "delete", ID: "aaaaaaaa-4", Entry: load.Entry{Key: "b", Rev: 4}}}, true},
		{"progress without an id", []load.Event{{Name: "progress"}}, true},
		{"an id within a resync", []load.Event{{Name: "resync"}, put("a", 9, 7, "aaaaaaaa-9")}, true},
	} {
		f := newFold()
		f.connected()
		var err error
		for _, ev := range slices.Concat(opening, c.events) {
			if err = f.apply(ev); err != nil {
				break
			}
		}
		if (err != nil) != c.bad {
			t.Errorf("%s: %v, want an error: %v", c.name, err, c.bad)
		}
	}
}
