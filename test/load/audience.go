package load

import (
	"context"
	"fmt"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/watch/watchtest"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// An Audience is writers and watchers that meet over one target. Its writers repeat each
// batch until they know what became of it, so that all that happened is known.
type Audience struct {
	To   Target
	Seed uint64
	// Prefix begins all keys that are written, and no other key of the store.
	Prefix string
	// Watchers is how many ways of watching are tried; 0 is all that there are.
	Watchers int
	// Pace is the time between two batches of a writer; 0 is none.
	Pace time.Duration
	// Patience is when a writer gives an answer up and asks again; 0 is never.
	Patience time.Duration
	// Silence is when a watcher gives up a connection on which nothing comes; 0 is never.
	Silence time.Duration

	Streamers []*Streamer
	tellers   []*teller
	truth     truth
}

// writers is how many writers an audience has.
const writers = 3

// Meet has the writers write and the streamers watch while during runs, and returns when the
// streamers have been told of all that was written. A writer that fails ends them: what it wrote
// last may never be told.
func (a *Audience) Meet(t testing.TB, during func()) {
	t.Helper()
	hard, abandon := context.WithCancel(gate.Context(t))
	defer abandon()
	ctx, cancel := context.WithCancel(hard)
	defer cancel()
	a.Streamers = a.streamers()
	var writing, watching sync.WaitGroup
	for _, s := range a.Streamers {
		watching.Go(func() {
			if err := s.run(hard); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range writers {
		w := a.teller(t, i)
		a.tellers = append(a.tellers, w)
		writing.Go(func() {
			if err := w.run(ctx, hard); err != nil {
				t.Error(err)
				abandon()
			}
		})
	}
	during()
	cancel()
	writing.Wait()
	for _, s := range a.Streamers {
		s.ends.Store(max(1, a.truth.newest.Load()))
	}
	watching.Wait()
}

// teller returns the writer numbered i.
func (a *Audience) teller(t testing.TB, i int) *teller {
	return &teller{
		name: fmt.Sprintf("%st%d", a.Prefix, i), keys: 12, pad: 40 * i, to: a.To, cl: Of(t, a.To, a.Patience), tr: &a.truth,
		pace: a.Pace, seed: a.Seed, rng: rand.New(rand.NewPCG(a.Seed, uint64(700+i))), held: map[string]watchtest.Change{},
	}
}

// History returns all changes that happened.
func (a *Audience) History() *watchtest.History { return a.truth.history() }

// Held returns what the store must hold under Prefix once Meet has returned: the last write
// of each key that was not a deletion.
func (a *Audience) Held() map[string]watchtest.Change {
	all := make(map[string]watchtest.Change)
	for _, w := range a.tellers {
		maps.Copy(all, w.held)
	}
	return all
}

// Check judges what each streamer was told and fails the test where that breaks a rule. With
// ample true history was never lost, so that no stream may start over.
func (a *Audience) Check(t testing.TB, ample bool) (resyncs, resets, changes int) {
	t.Helper()
	h := a.History()
	for _, s := range a.Streamers {
		r := s.Record()
		r.Ample = ample
		for _, v := range watchtest.Judge(h, r) {
			t.Errorf("%s (seed %d): %v, after\n%s", s.Name, a.Seed, v, v.Trace(r))
		}
		resyncs, resets = resyncs+s.count(watch.Resync), resets+s.count(watch.Reset)
		changes += s.count(watch.Put) + s.count(watch.Delete)
		t.Logf("%s: %d connections, %d steps, %d resyncs, %d resets", s.Name, s.cuts, len(r.Steps), s.count(watch.Resync), s.count(watch.Reset))
	}
	return resyncs, resets, changes
}

// StartedOver counts the resumes that could not simply go on, so far.
func (a *Audience) StartedOver() (n int64) {
	for _, s := range a.Streamers {
		n += s.startedOver.Load()
	}
	return n
}

// Controls checks that each rule would find a fault in the record of the first streamer,
// which must watch everything.
func (a *Audience) Controls(t testing.TB) {
	t.Helper()
	h, good := a.History(), a.Streamers[0].Record()
	for rule, spoil := range map[watchtest.Rule]func([]watchtest.Step, int) []watchtest.Step{
		watchtest.Filtered:   func(s []watchtest.Step, i int) []watchtest.Step { s[i].Key = "zzz"; return s },
		watchtest.Unique:     func(s []watchtest.Step, i int) []watchtest.Step { return slices.Insert(s, i, s[i]) },
		watchtest.Reliable:   func(s []watchtest.Step, i int) []watchtest.Step { return slices.Delete(s, i, i+1) },
		watchtest.Consistent: func(s []watchtest.Step, i int) []watchtest.Step { s[i].Create--; return s },
		watchtest.Bookmarked: func(s []watchtest.Step, i int) []watchtest.Step { s[i].HasAt = false; return s },
		watchtest.Ordered:    func(s []watchtest.Step, i int) []watchtest.Step { s[i].Rev = 1; return s },
		watchtest.Converged: func(s []watchtest.Step, i int) []watchtest.Step {
			s[i].Kind, s[i].Value = watch.Put, "never written"
			return s
		},
	} {
		bad := good
		bad.Prefixes = []string{a.Prefix + "t"}
		bad.Steps = spoil(slices.Clone(good.Steps), LastWhole(good.Steps))
		found := slices.ContainsFunc(watchtest.Judge(h, bad), func(v *watchtest.Violation) bool { return v.Rule == rule })
		if !found {
			t.Errorf("a record that is not %s passed (seed %d)", rule, a.Seed)
		}
	}
}

// LastWhole returns the number of a change that has a position and is followed, on its
// connection, by another revision that is whole: what is told of a revision that a cut left
// incomplete is not judged.
func LastWhole(steps []watchtest.Step) int {
	for i := len(steps) - 3; i > 0; i-- {
		if !steps[i].HasAt || steps[i].Rev == 0 {
			continue
		}
		for j := i + 1; j < len(steps)-1 && steps[j].Rev > 0; j++ {
			if steps[j].HasAt && steps[j+1].Rev > 0 {
				return i
			}
		}
	}
	panic(fmt.Sprintf("no change among %d steps", len(steps)))
}
