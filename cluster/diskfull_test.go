package cluster_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
)

// While the disk is full no client can keep a key alive: commands must be refused as
// not applied, with the reason, and the time must not run, or leases would end
// whose holders live. Afterwards it continues from where it stood.
func TestNoTimePassesWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		var full atomic.Bool
		why := errors.New("17 bytes are free")
		opts.Room = func() error {
			if full.Load() {
				return why
			}
			return nil
		}
		n := open(t, opts)
		mustPropose(t, n, put("k", "x", time.Minute))
		time.Sleep(20*time.Second + 500*time.Millisecond) // between two ticks

		full.Store(true)
		entries := n.Stats().Entries
		_, err := n.Propose(context.Background(), put("other", "x", 0))
		if !errors.Is(err, kv.ErrDiskFull) || !errors.Is(err, why) {
			t.Errorf("Propose on a full disk: got %v, want ErrDiskFull and the reason", err)
		}
		if _, err := n.Begin(put("other", "x", 0)); !errors.Is(err, kv.ErrDiskFull) {
			t.Errorf("Begin on a full disk: got %v, want ErrDiskFull", err)
		}
		time.Sleep(time.Hour)
		if got := n.Stats(); got.Entries != entries || got.Refused != 2 {
			t.Errorf("on a full disk: %d entries were logged and %d commands refused, want none and 2", got.Entries-entries, got.Refused)
		}

		full.Store(false)
		time.Sleep(30 * time.Second)
		if e, _ := opts.State.Get("k"); e == nil {
			t.Error("the key is gone after 50 s of a TTL of 60 s")
		}
		time.Sleep(12 * time.Second)
		if e, _ := opts.State.Get("k"); e != nil {
			t.Error("the key is there after 62 s of a TTL of 60 s")
		}
		mustPropose(t, n, put("other", "x", 0))
	})
}
