package app

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// checkpointPoll is how often it is looked whether a checkpoint is due.
const checkpointPoll = time.Second

// A checkpointer knows when the last checkpoint was made.
type checkpointer struct {
	mu struct {
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
	if err := e.node.Checkpoint(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e.checkpoints.mu.last = time.Now()
	return nil
}

// checkpointLoop writes a checkpoint whenever one is due.
func (e *Engine) checkpointLoop() {
	poll := time.NewTicker(checkpointPoll)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-e.stop:
			return
		}
		if !e.checkpointDue() {
			continue
		}
		if err := e.checkpoint(); err != nil {
			e.config.Logger.Error("checkpoint failed; it will be tried again", "err", err)
		}
	}
}

// checkpointDue reports whether enough has changed, enough log has piled up, or
// enough time has passed.
func (e *Engine) checkpointDue() bool {
	s := e.state.Stats()
	if s.DirtyBytes >= int64(e.config.CheckpointBytes) || e.log.Bytes() >= 2*int64(e.config.CheckpointBytes) {
		return true
	}
	e.checkpoints.mu.Lock()
	defer e.checkpoints.mu.Unlock()
	return s.DirtyKeys > 0 && time.Since(e.checkpoints.mu.last) >= e.config.CheckpointEvery
}
