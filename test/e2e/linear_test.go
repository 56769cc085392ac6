package e2e_test

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/test/gate"
)

// checkTime is the longest that one history may take to be checked.
const checkTime = time.Minute

// linearizable fails the test unless history is linearizable.
func linearizable(t *testing.T, name string, history []porcupine.Operation) {
	t.Helper()
	if got := porcupine.CheckOperationsTimeout(model, history, checkTime); got != porcupine.Ok {
		t.Errorf("%s: %d operations: %v, want %v (seed %d)", name, len(history), got, porcupine.Ok, *seed)
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
		clients: 8, keys: modelKeys, kills: kills, one: true,
		pause: 4 * time.Millisecond, between: 700 * time.Millisecond,
	}.record(t)
	for _, part := range byKey(rec.mu.ops) {
		linearizable(t, "one key", part)
	}
	if !rec.inDoubt() {
		t.Errorf("no outcome was ever in doubt, so that the kills tested nothing: %v", rec.mu.counts)
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
	linearizable(t, "all keys", rec.mu.ops)
}
