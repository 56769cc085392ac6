package app

import (
	"context"
	"errors"

	"keywatch/kv"
	"keywatch/watch"
)

// Close stops taking writes, finishes those in flight, ends every watch, writes
// a last checkpoint and closes the disk. It may be called twice.
func (e *Engine) Close() error { return e.Shutdown(context.Background()) }

// Shutdown is Close for who cannot wait: when ctx ends, background work and the last
// checkpoint are given up. Nothing is lost then; the next start applies more of the log. It
// may be called twice, and beside Close. It waits for the write to the disk that is under way, however long
// that takes: a process that cannot wait for a disk that hangs ends without it, as Serve does.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.closing.Do(func() { e.closed = e.shutdown(ctx) })
	return e.closed
}

func (e *Engine) shutdown(ctx context.Context) error {
	var errs []error
	// Watchers first: what they are still owed they get from the next server.
	e.hub.Close()
	e.end()
	if e.disk != nil {
		defer context.AfterFunc(ctx, e.disk.GiveUp)()
	}
	if e.access != nil {
		e.access.close()
	}
	if e.members != nil {
		e.members.migration.close()
	}
	e.running.Wait() // before the node: what runs needs it
	if e.node != nil {
		e.handOver() // while it can still do what is needed for that
		e.node.Drain()
		errs = append(errs, e.lastCheckpoint(ctx), e.node.Close())
	}
	if e.team != nil {
		errs = append(errs, e.team.mesh.Close())
	}
	if e.members != nil {
		errs = append(errs, e.members.close())
	}
	if e.disk != nil {
		// The disk last, marked as closed in order only if all went well; a start that was
		// given up leaves it as it was.
		clean := (e.node != nil || e.disk.Clean()) && errors.Join(errs...) == nil
		errs = append(errs, e.disk.Close(clean))
	}
	return errors.Join(errs...)
}

// leaveWhenRemoved ends all streams once this server was removed from the cluster: others know more.
func (e *Engine) leaveWhenRemoved(ctx context.Context) {
	select {
	case <-e.members.told:
		e.hub.EndAll(watch.CodeStopping)
	case <-ctx.Done():
	}
}

// handOver has another server lead, if this one does and there is one.
func (e *Engine) handOver() {
	if e.members == nil {
		return
	}
	if err := e.node.HandOver(context.Background()); err != nil {
		e.config.Logger.Warn("leadership is not handed over", "err", err)
	}
}

// lastCheckpoint saves the next start from replaying the log, if there is time for it.
func (e *Engine) lastCheckpoint(ctx context.Context) error {
	if e.disk == nil || e.Ready() != kv.ErrStopping {
		return nil
	}
	err := e.Checkpoint(ctx)
	if errors.Is(err, kv.ErrStarting) {
		return nil // another server's is the last
	}
	if err != nil && ctx.Err() != nil {
		e.config.Logger.Warn("no time for a last checkpoint; the next start applies the log", "bytes", e.logAfter())
		return nil
	}
	return err
}
