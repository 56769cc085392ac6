package watch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// A slowReader reads a large state while much of it changes, and its snapshots are ended
// as those of who holds memory that writers need.
type slowReader struct {
	*world
	t        *testing.T
	rnd      *rand.Rand
	request  watch.Request
	steps    []watchtest.Step
	counts   map[watch.Kind]int
	position string
}

// slowKeys are the keys of the state; a piece of what is read has a dozen of them.
const slowKeys = 120

func slowKey(i int) string { return fmt.Sprintf("%c/%03d", 'a'+i%3, i) }

func (r *slowReader) change() {
	key := slowKey(r.rnd.IntN(slowKeys))
	if r.rnd.IntN(3) == 0 {
		r.do(batch(del(key)))
		return
	}
	r.do(batch(put(key, fmt.Sprint(r.rnd.Uint64(), strings.Repeat("x", 20_000))), put(slowKey(r.rnd.IntN(3)), "")))
}

// read takes one piece after the other until it is told that it is synced. Between them
// keys change, and the snapshot ends.
func (r *slowReader) read(changes int) {
	r.t.Helper()
	w := r.watch(r.request)
	r.steps = append(r.steps, watchtest.Connected(r.request.Since))
	for range 1000 {
		messages, err := w.watcher.Next(context.Background())
		if err != nil {
			r.t.Fatal(err)
		}
		for i := range messages {
			m := &messages[i]
			r.steps = append(r.steps, watchtest.StepOf(m))
			r.counts[m.Kind]++
			if m.HasAt {
				r.position = m.At.String()
			}
			if m.Kind == watch.Synced || m.Kind == watch.Bye {
				w.watcher.Close()
				return
			}
		}
		for range changes {
			r.change()
		}
		r.state.EndOldestSnapshot()
	}
	r.t.Fatal("it is never synced")
}

func newSlowReader(t *testing.T, p kv.Params) *slowReader {
	r := &slowReader{
		world: newWorld(t, watch.Options{History: 4096}, p), t: t, rnd: rand.New(rand.NewPCG(gate.Seed(t), 0)),
		request: watch.Request{Keys: []string{slowKey(0), slowKey(3)}, Prefixes: []string{"b/", "c/"}, From: watch.FromState},
		counts:  make(map[watch.Kind]int),
	}
	for i := range slowKeys {
		r.put(slowKey(i), strings.Repeat("x", 20_000))
	}
	return r
}

// If this failed, a client with a slow link would start over whenever writers need the
// memory that its snapshot holds, and never get a large state; or it would end up with
// another state than the server's.
func TestStateGoesOnWithAnotherSnapshot(t *testing.T) {
	for range 10 {
		r := newSlowReader(t, kv.Params{})
		r.read(3)
		if ended := r.state.Stats().SnapshotsEnded; ended < 4 || r.counts[watch.Reset] != 1 || r.counts[watch.Bye] != 0 {
			t.Errorf("%d snapshots ended; told %v, want one reset and no bye", ended, r.counts)
		}
		// Nor where it returns to what history does not hold any more.
		for range 200 {
			r.change()
		}
		r.request.From, r.request.Since = watch.FromPosition, r.position
		r.read(3)
		if r.counts[watch.Reset] != 1 || r.counts[watch.Resync] == 0 || r.counts[watch.Bye] != 0 {
			t.Errorf("told %v, want one reset, a resync and no bye", r.counts)
		}
		if err := r.judge(r.request, r.steps); err != nil {
			t.Error(err)
		}
	}
}

// If this failed, what was deleted and forgotten between two snapshots would stay with the
// client for ever.
func TestStateStartsOverWhereDeletionsAreForgotten(t *testing.T) {
	again := 0
	for range 10 {
		r := newSlowReader(t, kv.Params{TombstoneMax: 2})
		r.read(5)
		if err := r.judge(r.request, r.steps); err != nil {
			t.Errorf("told %v: %v", r.counts, err)
		}
		again += r.counts[watch.Reset] - 1
	}
	if again == 0 {
		t.Error("it never started over: the test tests nothing")
	}
}

// If this failed, a client that comes no further would be served for ever for nothing.
func TestStateThatComesNoFurtherEnds(t *testing.T) {
	r := newSlowReader(t, kv.Params{})
	r.read(1000)
	if r.counts[watch.Bye] != 1 {
		t.Errorf("told %v, want a bye", r.counts)
	}
	if err := r.judge(r.request, r.steps); err != nil {
		t.Error(err)
	}
}
