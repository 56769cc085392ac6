package client_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"keywatch/app"
	"keywatch/client"
	"keywatch/test/gate"
)

// entries returns what the server has under prefix.
func entries(t testing.TB, c *client.Client, prefix string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for e, err := range c.List(gate.Context(t), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		got[e.Key] = fmt.Sprintf("%d %d %d %q", e.Rev, e.CreateRev, e.Version, e.Value)
	}
	return got
}

// shown returns what a mirror shows, in the same form.
func shown(m *client.Mirror, prefix string) map[string]string {
	got := map[string]string{}
	for key, e := range m.All(prefix) {
		got[key] = fmt.Sprintf("%d %d %d %q", e.Rev, e.CreateRev, e.Version, e.Value)
	}
	return got
}

// mirror returns a mirror that is closed with the test.
func mirror(t testing.TB, c *client.Client, opts client.MirrorOptions) *client.Mirror {
	t.Helper()
	m := c.Mirror(opts)
	t.Cleanup(m.Close)
	return m
}

// follower keeps a map by a mirror's callbacks alone.
type follower struct {
	mu   sync.Mutex
	have map[string]client.Rev
	bad  []string
}

// onChange checks that each change starts from what the last one led to.
func (f *follower) onChange(changes []client.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.have == nil {
		f.have = map[string]client.Rev{}
	}
	for _, c := range changes {
		old, known := f.have[c.Key]
		if (c.Old != nil) != known || c.Old != nil && c.Old.Rev != old {
			f.bad = append(f.bad, fmt.Sprintf("%s: change from %v, held %d", c.Key, c.Old, old))
		}
		if c.New == nil {
			delete(f.have, c.Key)
		} else {
			f.have[c.Key] = c.New.Rev
		}
	}
}

// revs is what a mirror shows, as a follower holds it.
func revs(m *client.Mirror) map[string]client.Rev {
	got := map[string]client.Rev{}
	for key, e := range m.All("") {
		got[key] = e.Rev
	}
	return got
}

// A counter watches until the test ends, and counts what it sees.
type counter struct {
	mu   sync.Mutex
	seen map[client.EventType]int
	mark string // the last value of m/mark
}

func count(t testing.TB, c *client.Client, opts client.WatchOptions) *counter {
	t.Helper()
	n := &counter{seen: map[client.EventType]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	wg.Go(func() {
		for e := range c.Watch(ctx, opts) {
			n.mu.Lock()
			n.seen[e.Type]++
			if e.Key == "m/mark" {
				n.mark = string(e.Value)
			}
			n.mu.Unlock()
		}
	})
	return n
}

// has returns how often a type was seen, and the last mark.
func (n *counter) has(k client.EventType) (int, string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen[k], n.mark
}

// scribble changes keys at random for some rounds: puts, deletions, batches of
// two keys that always have the same value, and deletions by prefix.
func scribble(t testing.TB, c *client.Client, r *rand.Rand, rounds int) {
	t.Helper()
	ctx := gate.Context(t)
	for i := range rounds {
		key, value := fmt.Sprintf("m/%d", r.IntN(40)), fmt.Appendf(nil, "%d-%d", i, r.Uint32())
		var err error
		switch n := r.IntN(20); {
		case n < 10:
			_, err = c.Put(ctx, key, value)
		case n < 14:
			_, err = c.Delete(ctx, key)
		case n < 19:
			_, err = c.Batch(ctx, client.Batch{Ops: []client.Op{
				client.OpPut("m/twin/a", value), client.OpPut("m/twin/b", value), client.OpPut("other", value),
			}})
		default:
			_, err = c.DeletePrefix(ctx, fmt.Sprintf("m/%d", r.IntN(4)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// churn writes many keys, and with remove deletes them again.
func churn(t testing.TB, c *client.Client, n int, remove bool) {
	t.Helper()
	for i := range n {
		key := fmt.Sprintf("m/churn/%d", i)
		if _, err := c.Put(gate.Context(t), key, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if !remove {
			continue
		}
		if _, err := c.Delete(gate.Context(t), key); err != nil {
			t.Fatal(err)
		}
	}
}

// caughtUp waits until m shows what the server has.
func caughtUp(t testing.TB, m *client.Mirror, c *client.Client, when string) {
	t.Helper()
	mark, err := c.Put(gate.Context(t), "m/mark", []byte(when))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mirror has the mark "+when, func() bool {
		e, ok := m.Get("m/mark")
		return ok && e.Rev == mark.Rev
	})
	want := entries(t, c, "m/")
	if got := shown(m, "m/"); !maps.Equal(got, want) || m.Len() != len(want) {
		t.Fatalf("%s the mirror shows %d keys %v, the server has %v", when, m.Len(), got, want)
	}
}

// If a mirror were not what the server has, at every moment at which it claims
// to be, through restarts, lost history and lost connections, it would be worse
// than none.
func TestMirrorIsExact(t *testing.T) {
	seed := gate.Seed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	config := app.ServeConfig{Config: app.Config{Data: t.TempDir(), History: 4 << 10, TombstoneMax: 60, Fsync: "interval"}}
	s := serve(t, config)
	door := newDoor(t, s.url)
	writer := func() *client.Client { return connect(t, s.url) }
	var f follower
	m := mirror(t, connect(t, door.url), client.MirrorOptions{Prefixes: []string{"m/"}, OnChange: f.onChange})
	if err := m.Synced(gate.Context(t)); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, m, writer(), "at first")
	seen := count(t, connect(t, door.url), client.WatchOptions{Prefixes: []string{"m/"}})
	for round, break_ := range []struct {
		name   string
		writes int // while the mirror cannot see
		how    func()
	}{
		{"a cut connection", 5, func() {}},
		{"a cut past history", 0, func() { churn(t, writer(), 100, false) }},
		{"a cut past tombstones", 20, func() { churn(t, writer(), 100, true) }},
		{"an ordered restart", 30, func() { s.stop(); config.Listen = s.url[7:]; s = serve(t, config) }},
	} {
		scribble(t, writer(), r, 60)
		caughtUp(t, m, writer(), fmt.Sprintf("before round %d", round))
		door.close()
		scribble(t, writer(), r, break_.writes)
		break_.how()
		scribble(t, writer(), r, break_.writes)
		door.open()
		caughtUp(t, m, writer(), "after "+break_.name)
		eventually(t, "the watch is back after "+break_.name, func() bool {
			_, mark := seen.has(client.EventPut)
			return mark == "after "+break_.name
		})
	}
	// A new history: the server starts with other data on the same address.
	s.stop()
	config.Data = t.TempDir()
	s = serve(t, config)
	caughtUp(t, m, writer(), "after the server began anew")
	resets, _ := seen.has(client.EventReset)
	resyncs, _ := seen.has(client.EventResync)
	if resets < 2 || resyncs < 1 {
		t.Errorf("%d resets and %d resyncs: nothing was tried", resets, resyncs)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.bad) > 0 || !maps.Equal(f.have, revs(m)) {
		t.Errorf("the callbacks lead to %v, the mirror is %v; %v", f.have, revs(m), f.bad)
	}
}

// If a reader of a mirror could see a part of a batch, the mirror would break
// what the server promises.
func TestMirrorShowsWholeRevisions(t *testing.T) {
	s := serve(t, app.ServeConfig{Config: app.Config{History: 8 << 10}})
	door := newDoor(t, s.url)
	c := connect(t, s.url)
	scribble(t, c, rand.New(rand.NewPCG(1, 2)), 50)
	m := mirror(t, connect(t, door.url), client.MirrorOptions{Prefixes: []string{"m/twin/"}})
	if err := m.Synced(gate.Context(t)); err != nil {
		t.Fatal(err)
	}
	stop, torn := make(chan struct{}), make(chan string, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var values []string
			for _, e := range m.All("") {
				values = append(values, string(e.Value))
			}
			if len(values) == 2 && values[0] != values[1] {
				torn <- fmt.Sprint(values)
				return
			}
		}
	})
	for i := range 400 {
		value := fmt.Appendf(nil, "value %d", i)
		if _, err := c.Batch(gate.Context(t), client.Batch{Ops: []client.Op{client.OpPut("m/twin/a", value), client.OpPut("m/twin/b", value)}}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 50 {
			door.close()
			door.open()
		}
	}
	eventually(t, "the last value", func() bool {
		e, _ := m.Get("m/twin/b")
		return string(e.Value) == "value 399"
	})
	close(stop)
	wg.Wait()
	select {
	case values := <-torn:
		t.Errorf("a part of a batch was shown: %s", values)
	default:
	}
}

// If Synced or Close could hang, so would every program that starts or stops
// with a mirror.
func TestMirrorEnds(t *testing.T) {
	c := connect(t, serve(t, app.ServeConfig{}).url)
	m := c.Mirror(client.MirrorOptions{}) // names nothing: refused for good
	if err := m.Synced(gate.Context(t)); err == nil || m.Err() == nil {
		t.Errorf("a mirror of nothing is synced: %v, %v", err, m.Err())
	}
	m.Close()
	away := connect(t, "127.0.0.1:1").Mirror(client.MirrorOptions{Prefixes: []string{""}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := away.Synced(ctx); err != context.Canceled {
		t.Errorf("synced with nobody there: %v", err)
	}
	away.Close()
	away.Close()
	if err := away.Synced(gate.Context(t)); err != client.ErrClosed {
		t.Errorf("synced after close: %v, want ErrClosed", err)
	}
}

// The time until a mirror of 100,000 keys can be read.
func BenchmarkMirrorReady(b *testing.B) {
	const keys = 100_000
	c := connect(b, serve(b, app.ServeConfig{}).url)
	for from := 0; from < keys; from += 1000 {
		var batch client.Batch
		for i := from; i < from+1000; i++ {
			batch.Ops = append(batch.Ops, client.OpPut(fmt.Sprintf("bench/%06d", i), bytes.Repeat([]byte("v"), 64)))
		}
		if _, err := c.Batch(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		m := c.Mirror(client.MirrorOptions{Prefixes: []string{""}})
		if err := m.Synced(b.Context()); err != nil || m.Len() != keys {
			b.Fatalf("%d keys, %v", m.Len(), err)
		}
		m.Close()
	}
}
