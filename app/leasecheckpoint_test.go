package app_test

import (
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/test/gate"
)

// If this failed, a store in which nothing but leases changes would never write
// a checkpoint by time, and would replay all of its log at the next start.
func TestLeasesBringACheckpointAbout(t *testing.T) {
	e, err := app.Open(t.Context(), app.Config{Data: t.TempDir(), CheckpointEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	before := e.Status().Checkpoint.Made
	if r, err := e.Grant(t.Context(), time.Hour); err != nil || r.Outcome != kv.Committed {
		t.Fatalf("grant: got %+v, %v", r, err)
	}
	gate.Until(t, func() bool { return e.Status().Checkpoint.Made > before }, "there was no checkpoint")
}
