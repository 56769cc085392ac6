package cluster

import (
	"context"

	"keywatch/kv"
)

// Checkpoints keep the state as it is after an entry, so that the log before it can go.
type Checkpoints interface {
	// Checkpoint writes cp, the state after the entry at index, which has term. cp belongs
	// to it: it commits or aborts cp.
	Checkpoint(cp *kv.Checkpoint, index, term uint64) error
	// Last returns what the last call of Checkpoint that succeeded was given; 0 and 0 if
	// there was none.
	Last() (index, term uint64)
}

// MemoryCheckpoints are those of a server that keeps nothing: a checkpoint only lets it cut
// its log.
type MemoryCheckpoints struct{}

// Checkpoint commits cp.
func (MemoryCheckpoints) Checkpoint(cp *kv.Checkpoint, _, _ uint64) error {
	cp.Commit()
	return nil
}

// Last returns 0 and 0: there is nothing to start from.
func (MemoryCheckpoints) Last() (index, term uint64) { return 0, 0 }

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
