package e2e_test

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// linearizable fails the test unless history is linearizable, as judge sees it.
func linearizable(t *testing.T, judge func([]porcupine.Operation) porcupine.CheckResult, history []porcupine.Operation) {
	t.Helper()
	if got := judge(history); got != porcupine.Ok {
		t.Errorf("%d operations: %v, want %v (seed %d)", len(history), got, porcupine.Ok, *seed)
	}
}

// TestKeysAreLinearizable: puts, conditional puts, deletes, swaps, gets and
// batches of many clients act on each key as if one after the other, and once
// only, although the server is killed again and again while they run.
func TestKeysAreLinearizable(t *testing.T) { keysAreLinearizable(t, 2) }

func TestProofKeysAreLinearizable(t *testing.T) {
	gate.Long(t)
	keysAreLinearizable(t, 6)
}

func keysAreLinearizable(t *testing.T, kills int) {
	t.Parallel()
	rec := historyRun{
		clients: 8, keys: load.ModelKeys, kills: kills, one: true,
		pause: 4 * time.Millisecond, between: 700 * time.Millisecond,
	}.record(t)
	linearizable(t, load.JudgeByKey, rec.Ops())
	if !rec.InDoubt() {
		t.Errorf("no outcome was ever in doubt, so that the kills tested nothing: %v", rec.Counts())
	}
}

// TestBatchesAreLinearizable: the same for whole batches with checks on any key,
// over all keys at once.
func TestBatchesAreLinearizable(t *testing.T) { batchesAreLinearizable(t, 2) }

func TestProofBatchesAreLinearizable(t *testing.T) {
	gate.Long(t)
	batchesAreLinearizable(t, 4)
}

func batchesAreLinearizable(t *testing.T, kills int) {
	t.Parallel()
	rec := historyRun{
		clients: 4, keys: 3, kills: kills,
		pause: 6 * time.Millisecond, between: 500 * time.Millisecond,
	}.record(t)
	linearizable(t, load.Judge, rec.Ops())
}
