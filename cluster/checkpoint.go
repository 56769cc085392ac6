package cluster

import (
	"context"

	"keywatch/kv"
)

// Checkpoint writes a checkpoint and lets go of the log before it. It waits until that is
// done, or ctx ends: then the checkpoint goes on behind, and Close waits for it. It does nothing
// while nothing was ever applied.
func (n *Node) Checkpoint(ctx context.Context) error {
	select {
	case <-n.checkpointing:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1) // the outcome, sent once
	if !n.loop.ask(func() { n.freeze(done) }) {
		n.checkpointing <- struct{}{}
		return kv.ErrStopping
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freeze begins a checkpoint between two entries, and has it written behind. The loop calls it.
func (n *Node) freeze(done chan<- error) {
	at := n.loop.applied
	if at.Index == 0 {
		n.checkpointing <- struct{}{}
		done <- nil
		return
	}
	cp, err := n.state.Freeze()
	if err != nil {
		n.checkpointing <- struct{}{}
		done <- err
		return
	}
	n.running.Go(func() {
		err := n.opts.Checkpoints.Checkpoint(cp, at.Index, at.Term)
		if err == nil {
			err = n.store.Compact(at)
		}
		n.checkpointing <- struct{}{}
		done <- err
	})
}
