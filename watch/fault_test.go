//go:build keywatchfault

package watch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// A story is how clients live through a history: they reconnect often, and read
// now and then.
type story struct {
	name    string
	history int64 // bytes of the ring
	mode    watch.Mode
}

var (
	ample  = story{name: "ample history"}
	tiny   = story{name: "tiny history", history: 4 << 10}
	latest = story{name: "latest", mode: watch.Latest}
)

// foundIn says which rules a fault of the hub breaks, in which story.
var foundIn = []struct {
	fault watch.Fault
	story story
	rules []watchtest.Rule
}{
	{watch.DropEvent, ample, []watchtest.Rule{watchtest.Reliable}},
	{watch.DropEvent, latest, []watchtest.Rule{watchtest.Converged}},
	{watch.RepeatEvent, ample, []watchtest.Rule{watchtest.Unique}},
	{watch.SwapRevisions, ample, []watchtest.Rule{watchtest.Ordered, watchtest.Bookmarked}},
	{watch.TearRevision, ample, []watchtest.Rule{watchtest.Atomic}},
	{watch.StrayEvent, ample, []watchtest.Rule{watchtest.Filtered}},
	{watch.StrayEvent, latest, []watchtest.Rule{watchtest.Filtered}},
	{watch.SplitRevision, ample, []watchtest.Rule{watchtest.Atomic}},
	{watch.LosePosition, ample, []watchtest.Rule{watchtest.Bookmarked}},
	{watch.OldPosition, ample, []watchtest.Rule{watchtest.Bookmarked}},
	{watch.EarlyPosition, ample, []watchtest.Rule{watchtest.Bookmarked}},
	{watch.EarlyProgress, ample, []watchtest.Rule{watchtest.Bookmarked, watchtest.Reliable}},
	{watch.EarlyProgress, latest, []watchtest.Rule{watchtest.Converged}},
	{watch.LateSynced, ample, []watchtest.Rule{watchtest.Bookmarked}},
	{watch.WrongVersion, ample, []watchtest.Rule{watchtest.Consistent}},
	{watch.WrongVersion, latest, []watchtest.Rule{watchtest.Consistent}},
	{watch.StaleState, tiny, []watchtest.Rule{watchtest.Converged}},
	{watch.ForgetKey, tiny, []watchtest.Rule{watchtest.Converged}},
	{watch.ForgetDeletion, tiny, []watchtest.Rule{watchtest.Converged}},
	{watch.ForgetChange, tiny, []watchtest.Rule{watchtest.Converged}},
	{watch.QuietReset, tiny, []watchtest.Rule{watchtest.Resumable}},
	{watch.MarkedReset, tiny, []watchtest.Rule{watchtest.Bookmarked}},
	{watch.ResumeEarly, ample, []watchtest.Rule{watchtest.Unique, watchtest.Resumable}},
	{watch.ResumeLate, ample, []watchtest.Rule{watchtest.Reliable, watchtest.Resumable}},
	{watch.WideFilter, ample, []watchtest.Rule{watchtest.Filtered}},
	{watch.BlindFloor, tiny, []watchtest.Rule{watchtest.Reliable, watchtest.Resumable}},
}

// Without it a hub that tells what is not so could pass all that the validators judge: each
// fault inside the hub must be found by the rules it breaks, and nothing may be
// found without a fault.
func TestFaultsOfTheHubAreFound(t *testing.T) {
	const seed = 1
	controls := map[watchtest.Rule]bool{}
	for _, c := range foundIn {
		t.Run(c.story.name+"/"+string(c.fault), func(t *testing.T) {
			got, _ := c.story.tell(t, seed, c.fault)
			for _, rule := range c.rules {
				if controls[rule] = true; !broken(got, rule) {
					t.Errorf("%s is not among %v", rule, got)
				}
			}
		})
	}
	if len(controls) != 9 {
		t.Errorf("got controls for %d rules, want 9: %v", len(controls), controls)
	}
	for _, s := range []story{ample, tiny, latest} {
		s.isClean(t)
	}
}

// isClean has the story told without a fault. With a tiny history it must have
// been lost in both ways.
func (s story) isClean(t *testing.T) {
	t.Helper()
	var resyncs, resets uint64
	for seed := range uint64(20) {
		got, stats := s.tell(t, seed, watch.NoFault)
		if len(got) > 0 {
			t.Errorf("%s, seed %d: got %v without a fault", s.name, seed, got)
		}
		resyncs, resets = resyncs+stats.Resyncs, resets+stats.Resets
	}
	if lost := s.history > 0; lost != (resyncs >= 100) || lost != (resets >= 40) {
		t.Errorf("%s: got %d resyncs and %d resets", s.name, resyncs, resets)
	}
}

// tell returns what is wrong with what a client was told in a hub with a fault.
func (s story) tell(t *testing.T, seed uint64, f watch.Fault) (list []*watchtest.Violation, stats watch.Stats) {
	synctest.Test(t, func(t *testing.T) {
		watch.Plant(f)
		defer watch.Plant(watch.NoFault)
		w := newWorld(t, watch.Options{History: s.history}, kv.Params{TombstoneMax: s.tombstones()})
		c := &comer{world: w, rnd: rand.New(rand.NewPCG(seed, 3)), req: watch.Request{
			Prefixes: []string{"a/"}, Mode: s.mode, Progress: time.Second,
		}}
		for range 60 {
			c.comeBack()
		}
		r := watchtest.Record{Prefixes: c.req.Prefixes, Steps: c.steps, Latest: s.mode == watch.Latest, Ample: s.history == 0}
		list = watchtest.Judge(watchtest.HistoryOf(w.history), r)
		stats = w.hub.Stats()
		w.hub.Close()
	})
	return list, stats
}

// tombstones is how many deletions are remembered; with a tiny history often
// too few.
func (s story) tombstones() int {
	if s.history > 0 {
		return 3
	}
	return 1000
}

// A comer is a client that comes and goes.
type comer struct {
	*world
	rnd   *rand.Rand
	req   watch.Request
	pos   string
	steps []watchtest.Step
}

// comeBack connects, lets things happen, reads for a while and leaves; much
// happens while it is away.
func (c *comer) comeBack() {
	if c.req.From, c.req.Since = watch.FromState, c.pos; c.pos != "" {
		c.req.From = watch.FromPosition
	}
	r := c.watch(c.req)
	defer r.watcher.Close()
	c.steps = append(c.steps, watchtest.Connected(c.pos))
	if c.rnd.IntN(4) > 0 {
		c.read(r, 3*time.Second)
	}
	for range c.rnd.IntN(4) {
		c.change(1 + c.rnd.IntN(3))
		c.read(r, time.Duration(c.rnd.IntN(3))*time.Second)
	}
	c.change(c.rnd.IntN(25))
}

// read takes what comes within d.
func (c *comer) read(r *reader, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d+time.Millisecond)
	defer cancel()
	for {
		messages, err := r.watcher.Next(ctx)
		if err != nil {
			return
		}
		for i := range messages {
			c.steps = append(c.steps, watchtest.StepOf(&messages[i]))
			if messages[i].HasAt {
				c.pos = messages[i].At.String()
			}
		}
	}
}

// change runs n entries of a few revisions each.
func (c *comer) change(n int) {
	key := func() string { return fmt.Sprintf("a/%d", c.rnd.IntN(8)) }
	for range n {
		first := c.rnd.IntN(6)
		commands := []*kv.Command{
			batch(put("b", "x"), put(fmt.Sprintf("a/%d", first), fmt.Sprint(c.rnd.IntN(1000))), put(fmt.Sprintf("a/%d", first+1), "y")),
			batch(put("b", "y"), put(key(), "z")),
		}
		if c.rnd.IntN(2) == 0 {
			commands = append(commands, batch(del(key())))
		}
		c.do(commands...)
		synctest.Wait() // the dispatcher has handed over
	}
}
