package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// observe has writers and streamers meet while during runs.
func observe(t *testing.T, keep *restarter, during func(list []*streamer)) (*watchtest.History, []*streamer) {
	t.Helper()
	hard := gate.Context(t)
	ctx, cancel := context.WithCancel(hard)
	defer cancel()
	var tr truth
	list := streamers(t, keep, &tr)
	var writing, watching sync.WaitGroup
	for _, s := range list {
		watching.Go(func() {
			if err := s.run(hard); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 3 {
		w := newTeller(t, keep, &tr, i)
		writing.Go(func() {
			if err := w.run(ctx, hard); err != nil {
				t.Error(err)
			}
		})
	}
	during(list)
	cancel()
	writing.Wait()
	for _, s := range list {
		s.ends.Store(tr.newest.Load())
	}
	watching.Wait()
	return tr.history(), list
}

// count returns how often a kind of step is in s.
func (s *streamer) count(kind watch.Kind) (n int) {
	for _, step := range s.wire.Steps() {
		if step.Kind == kind {
			n++
		}
	}
	return n
}

// check judges all records and fails the test where one breaks a rule.
func check(t *testing.T, h *watchtest.History, list []*streamer, ample bool) (resyncs, resets, changes int) {
	t.Helper()
	for _, s := range list {
		r := s.record()
		r.Ample = ample
		if err := watchtest.Check(h, r); err != nil {
			t.Errorf("%s (seed %d): %v", s.name, *seed, err)
		}
		resyncs, resets = resyncs+s.count(watch.Resync), resets+s.count(watch.Reset)
		changes += s.count(watch.Put) + s.count(watch.Delete)
		t.Logf("%s: %d connections, %d steps, %d resyncs, %d resets", s.name, s.cuts, len(r.Steps), s.count(watch.Resync), s.count(watch.Reset))
	}
	return resyncs, resets, changes
}

// TestRulesWithAmpleHistory: streams that are cut at random bytes go on without
// a gap, a repetition or a new start, while history lasts.
func TestRulesWithAmpleHistory(t *testing.T) { rulesWithAmpleHistory(t, 300*time.Millisecond) }

func TestProofRulesWithAmpleHistory(t *testing.T) {
	gate.Long(t)
	rulesWithAmpleHistory(t, 3*time.Second)
}

func rulesWithAmpleHistory(t *testing.T, d time.Duration) {
	t.Parallel()
	keep := keep(t, t.TempDir(), "--heartbeat", "100ms", "--fsync", "interval")
	h, list := observe(t, keep, func(list []*streamer) {
		lasts(t, d)
		list[0].wait(gate.Context(t), 150) // however slow the machine is
	})
	_, _, changes := check(t, h, list, true)
	if changes < 1000 {
		t.Errorf("only %d changes were told", changes)
	}
	controls(t, h, list[0].record())
}

// TestRulesWithTinyHistory: with next to no history, sockets that are not read
// and servers that are killed, streams say that they start over, and what they
// hold is right again after it: by a resync where deletions are remembered, by a
// reset where they are not.
func TestRulesWithTinyHistory(t *testing.T) { rulesWithTinyHistory(t, 2) }

func TestProofRulesWithTinyHistory(t *testing.T) {
	gate.Long(t)
	rulesWithTinyHistory(t, 8)
}

func rulesWithTinyHistory(t *testing.T, kills int) {
	for _, tombstones := range []string{"1000", "2"} {
		t.Run("tombstones="+tombstones, func(t *testing.T) {
			t.Parallel()
			keep := keep(t, t.TempDir(), "--heartbeat", "100ms", "--history", "16KiB", "--tombstone-max", tombstones)
			h, list := observe(t, keep, func(list []*streamer) {
				for i := 0; i < kills || i < 40 && startedOver(list) < 5; i++ {
					list[0].wait(gate.Context(t), 100)
					keep.server().kill()
					keep.restart(t)
				}
			})
			resyncs, _, _ := check(t, h, list, false)
			lost := 0
			for _, s := range list {
				lost += s.lost()
			}
			if t.Logf("%d resyncs, %d resets instead of a resume", resyncs, lost); tombstones == "2" && lost < 5 || tombstones != "2" && resyncs < 5 {
				t.Error("history was not lost")
			}
		})
	}
}

// startedOver counts the resumes that could not simply go on, so far.
func startedOver(list []*streamer) (n int64) {
	for _, s := range list {
		n += s.startedOver.Load()
	}
	return n
}

// lost counts the resumes that were answered by a reset, in the same epoch.
func (s *streamer) lost() (n int) {
	var from kv.Position
	for _, step := range s.wire.Steps() {
		switch {
		case step.Kind == watchtest.Connect:
			from = step.At
		case step.Kind == watch.Reset && from.Rev > 0 && step.At.Epoch == from.Epoch:
			n++
		}
	}
	return n
}

// controls checks that each rule would find a fault in a record of a real
// server.
func controls(t *testing.T, h *watchtest.History, good watchtest.Record) {
	t.Helper()
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
		bad.Prefixes = []string{"t"}
		bad.Steps = spoil(slices.Clone(good.Steps), lastWhole(good.Steps))
		found := slices.ContainsFunc(watchtest.Judge(h, bad), func(v *watchtest.Violation) bool { return v.Rule == rule })
		if !found {
			t.Errorf("a record that is not %s passed (seed %d)", rule, *seed)
		}
	}
}

// lastWhole returns the number of a change that has a position and is followed, on its
// connection, by another revision that is whole: what is told of a revision that a cut left
// incomplete is not judged.
func lastWhole(steps []watchtest.Step) int {
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

// If the control spoiled what a client drops anyway, it would say that a rule finds
// nothing.
func TestLastWholeIsJudged(t *testing.T) {
	t.Parallel()
	connect, told := watchtest.Step{Kind: watchtest.Connect}, watchtest.Step{Kind: watch.Put}
	told.Rev = 5
	whole := told
	whole.HasAt = true
	steps := []watchtest.Step{connect, whole, whole, told, whole, told, told, connect, whole, connect}
	if got := lastWhole(steps); got != 2 {
		t.Errorf("got step %d, want 2: the last that a change with a position follows", got)
	}
}
