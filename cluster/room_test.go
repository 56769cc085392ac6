package cluster_test

import (
	"context"
	"testing"
	"testing/synctest"

	"keywatch/persist/wal"
)

// A crammed is a log that takes an entry only once others were removed.
type crammed struct {
	*wal.MemLog
	full    bool
	removed chan struct{}
}

func (c *crammed) Append(entries ...*wal.Entry) error {
	if c.full {
		<-c.removed
	}
	return c.MemLog.Append(entries...)
}

func (c *crammed) DeleteRange(lowest, highest uint64) error {
	if c.full {
		c.full = false
		close(c.removed)
	}
	return c.MemLog.DeleteRange(lowest, highest)
}

// A write that waits for room in the log waits for a checkpoint, so a checkpoint must not wait for the
// write.
func TestCheckpointMakesRoomForAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		log := &crammed{MemLog: wal.NewMemLog(), removed: make(chan struct{})}
		opts.Log = log
		n := open(t, opts)
		mustPropose(t, n, put("k", "v", 0))
		synctest.Wait()
		log.full = true
		done := make(chan error, 1)
		go func() {
			_, err := n.Propose(context.Background(), put("k", "w", 0))
			done <- err
		}()
		synctest.Wait()
		if err := n.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
