package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/wake"
	"keywatch/persist"
)

const (
	// checkpointPoll is how often it is looked whether a checkpoint is due.
	checkpointPoll = time.Second
	// checkpointRest is the longest rest after checkpoints that failed. It begins
	// with checkpointPoll and doubles.
	checkpointRest = 16 * time.Second
)

// A checkpointer knows when the last checkpoint was made. Its init comes first.
type checkpointer struct {
	// early says that a checkpoint is needed before it is due.
	early wake.Chan
	// running is set while a checkpoint is being written.
	running atomic.Bool
	// busy holds a token; who has taken it may have a checkpoint written.
	busy chan struct{}
	mu   struct {
		sync.Mutex
		last time.Time
	}
}

func (c *checkpointer) init() {
	c.early, c.busy = wake.New(), make(chan struct{}, 1)
	c.busy <- struct{}{}
	c.made()
}

// made notes that the last checkpoint was made now, lastMade returns when it was.
func (c *checkpointer) made() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.last = time.Now()
}

func (c *checkpointer) lastMade() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.last
}

// Checkpoint writes a checkpoint now and waits for it; nothing is written if nothing was
// applied since the last one. If ctx ends first it fails with ctx's error, and the
// checkpoint may go on.
func (e *Engine) Checkpoint(ctx context.Context) error {
	select {
	case <-e.checkpoints.busy:
	case <-ctx.Done():
		return fmt.Errorf("checkpoint: %w", ctx.Err())
	}
	defer func() { e.checkpoints.busy <- struct{}{} }()
	if e.logAfter() == 0 {
		return e.node.Trim() // of what is kept for other servers
	}
	e.checkpoints.running.Store(true)
	defer e.checkpoints.running.Store(false)
	if err := overtaken(e.node.Checkpoint(ctx)); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e.checkpoints.made()
	e.objects.wakeMover() // only now is it known what is on disk
	return nil
}

// checkpointLoop writes a checkpoint whenever one is due, until ctx ends.
func (e *Engine) checkpointLoop(ctx context.Context) {
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
		case <-ctx.Done():
			return
		}
		if time.Now().Before(from) || !early && !e.checkpointDue() {
			continue
		}
		if err := e.Checkpoint(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, kv.ErrStarting) {
				continue // the state of another server takes the place of this one's
			}
			rest = min(max(checkpointPoll, 2*rest), checkpointRest)
			from = time.Now().Add(rest)
			e.config.Logger.Error("checkpoint failed; it will be tried again", "err", err, "after", rest)
			continue
		}
		rest = 0
		e.memory.wakeEvictor() // there is more to evict now
	}
}

// overtaken makes an error about an install one that callers know.
func overtaken(err error) error {
	if errors.Is(err, persist.ErrOvertaken) {
		return fmt.Errorf("%w: %w", kv.ErrStarting, err)
	}
	return err
}

// logAfter returns how many bytes of log a start would apply: what no checkpoint has.
func (e *Engine) logAfter() int64 {
	if e.disk == nil {
		return e.log.Bytes()
	}
	index, _, _ := e.disk.Last()
	return e.disk.Log().BytesAfter(index)
}

// checkpointDue reports whether enough has changed, enough log has piled up, the
// disk is too full for more of it, or enough time has passed.
func (e *Engine) checkpointDue() bool {
	s := e.state().Stats()
	most := e.memory.dirtyMax(int64(e.tuning.Load().checkpointBytes))
	if e.disk != nil && s.Dirty && e.disk.Log().Short() {
		return true
	}
	if s.DirtyBytes >= most || e.logAfter() >= 2*most || e.memory.logBytes() >= e.memory.limit/logShare {
		return true
	}
	return s.Dirty && time.Since(e.checkpoints.lastMade()) >= e.tuning.Load().checkpointEvery
}
