package app

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv/wake"
)

const (
	// checkpointPoll is how often it is looked whether a checkpoint is due.
	checkpointPoll = time.Second
	// checkpointRest is the longest rest after checkpoints that failed. It begins
	// with checkpointPoll and doubles.
	checkpointRest = 16 * time.Second
)

// A checkpointer knows when the last checkpoint was made.
type checkpointer struct {
	// early says that a checkpoint is needed before it is due.
	early wake.Chan
	// running is set while a checkpoint is being written.
	running atomic.Bool
	mu      struct {
		sync.Mutex
		last time.Time
	}
}

// Checkpoint writes a checkpoint now and waits for it.
func (e *Engine) Checkpoint(context.Context) error { return e.checkpoint() }

// checkpoint writes a checkpoint, one at a time; nothing if nothing was applied
// since the last one.
func (e *Engine) checkpoint() error {
	e.checkpoints.mu.Lock()
	defer e.checkpoints.mu.Unlock()
	if e.log.Bytes() == 0 {
		return nil
	}
	e.checkpoints.running.Store(true)
	defer e.checkpoints.running.Store(false)
	if err := e.node.Checkpoint(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e.checkpoints.mu.last = time.Now()
	e.objects.wakeMover() // only now is it known what lies on disk
	return nil
}

// checkpointLoop writes a checkpoint whenever one is due.
func (e *Engine) checkpointLoop() {
	poll := time.NewTicker(checkpointPoll)
	defer poll.Stop()
	var rest time.Duration // after a failure
	var from time.Time     // the end of the rest
	for {
		early := false
		select {
		case <-poll.C:
		case <-e.checkpoints.early:
			early = true
		case <-e.stop:
			return
		}
		if time.Now().Before(from) || !early && !e.checkpointDue() {
			continue
		}
		if err := e.checkpoint(); err != nil {
			rest = min(max(checkpointPoll, 2*rest), checkpointRest)
			from = time.Now().Add(rest)
			e.config.Logger.Error("checkpoint failed; it will be tried again", "err", err, "after", rest)
			continue
		}
		rest = 0
		e.memory.wakeEvictor() // there is more to evict now
	}
}

// checkpointDue reports whether enough has changed, enough log has piled up, the
// disk is too full for more of it, or enough time has passed.
func (e *Engine) checkpointDue() bool {
	s := e.state.Stats()
	most := e.memory.dirtyMax(int64(e.config.CheckpointBytes))
	if e.disk != nil && s.Dirty && e.disk.Log().Short() {
		return true
	}
	if s.DirtyBytes >= most || e.log.Bytes() >= 2*most {
		return true
	}
	e.checkpoints.mu.Lock()
	defer e.checkpoints.mu.Unlock()
	return s.Dirty && time.Since(e.checkpoints.mu.last) >= e.config.CheckpointEvery
}
