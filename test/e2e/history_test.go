package e2e_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// A run describes how a history is made.
type historyRun struct {
	clients, keys, kills int
	one                  bool
	pause                time.Duration
	between              time.Duration // time from a start to the next kill
	args                 []string
}

// record makes a history while the server is killed again and again, and checks
// what can be checked without a model.
func (h historyRun) record(t *testing.T) *load.Recorder {
	t.Helper()
	keep := keep(t, t.TempDir(), h.args...)
	rec := load.NewRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	hard := gate.Context(t)
	var running sync.WaitGroup
	for id := range h.clients {
		w := &load.Worker{
			ID: id, Rec: rec, To: keep, HTTP: keep.client(t),
			Retry: id%2 == 0, One: h.one, Pause: h.pause,
			Work: &load.Workload{Rand: rand.New(rand.NewPCG(*seed, uint64(id))), Name: strconv.Itoa(id), Keys: h.keys},
		}
		running.Go(func() { w.Run(ctx, hard) })
	}
	// A kill that leaves no outcome in doubt tests nothing: then there are more.
	for n := 0; n < h.kills || n < 10*h.kills && !rec.InDoubt(); n++ {
		lasts(t, h.between)
		keep.server().kill()
		keep.restart(t)
	}
	lasts(t, h.between)
	cancel()
	running.Wait()
	if rec.Err() != nil {
		t.Errorf("seed %d: %v", *seed, rec.Err())
	}
	t.Logf("%d operations: %v", len(rec.Ops()), rec.Counts())
	return rec
}

// lasts returns after d, the time for which a load is to run: what is under test
// is another process, whose clock cannot be turned.
func lasts(t testing.TB, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
