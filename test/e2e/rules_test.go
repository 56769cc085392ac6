package e2e_test

import (
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// observe has writers and streamers meet while during runs.
func observe(t *testing.T, to load.Target, during func(a *load.Audience)) *load.Audience {
	t.Helper()
	a := &load.Audience{To: to, Seed: *seed}
	a.Meet(t, func() { during(a) })
	return a
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
	a := observe(t, keep, func(a *load.Audience) {
		lasts(t, d)
		a.Streamers[0].Wait(gate.Context(t), 150) // however slow the machine is
	})
	_, _, changes := a.Check(t, true)
	if changes < 1000 {
		t.Errorf("only %d changes were told", changes)
	}
	a.Controls(t)
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
			a := observe(t, keep, func(a *load.Audience) {
				for i := 0; i < kills || i < 40 && a.StartedOver() < 5; i++ {
					a.Streamers[0].Wait(gate.Context(t), 100)
					keep.server().kill()
					keep.restart(t)
				}
			})
			resyncs, _, _ := a.Check(t, false)
			lost := 0
			for _, s := range a.Streamers {
				lost += s.Lost()
			}
			if t.Logf("%d resyncs, %d resets instead of a resume", resyncs, lost); tombstones == "2" && lost < 5 || tombstones != "2" && resyncs < 5 {
				t.Error("history was not lost")
			}
		})
	}
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
	if got := load.LastWhole(steps); got != 2 {
		t.Errorf("got step %d, want 2: the last that a change with a position follows", got)
	}
}
