package cluster

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"keywatch/kv"
)

// A CheckpointSink is what Snapshots must make: a sink that takes a checkpoint
// whole instead of a stream of bytes. WriteCheckpoint commits or aborts it.
type CheckpointSink interface {
	raft.SnapshotSink
	WriteCheckpoint(*kv.Checkpoint) error
}

// fsm applies the log to the state. Raft calls it from one goroutine.
type fsm struct{ *Node }

var _ raft.FSM = fsm{}

// Apply runs one entry. It returns the results, a []kv.Result.
func (f fsm) Apply(l *raft.Log) any {
	results, err := f.state.Apply(l.Index, l.Term, l.Data)
	if err != nil {
		err = fmt.Errorf("apply log entry %d: %w", l.Index, err)
		f.setStatus(err)
		f.opts.Fatal(err)
		return err
	}
	f.ticker.note(f.state.NextDeadline())
	return results
}

// Snapshot begins a checkpoint.
func (f fsm) Snapshot() (raft.FSMSnapshot, error) {
	c, err := f.state.Freeze()
	if err != nil {
		return nil, err
	}
	return &frozen{checkpoint: c}, nil
}

// errNoInstall is returned when a snapshot arrives from another server, which a
// cluster of one never sees.
var errNoInstall = errors.New("a cluster of one takes no snapshot from another server")

// Restore would replace the state by a snapshot from another server.
func (f fsm) Restore(r io.ReadCloser) error {
	return errors.Join(errNoInstall, r.Close())
}

// A frozen is a checkpoint on its way to its sink.
type frozen struct {
	checkpoint *kv.Checkpoint
	handed     bool
}

// Persist writes the checkpoint.
func (z *frozen) Persist(sink raft.SnapshotSink) error {
	s, ok := sink.(CheckpointSink)
	if !ok {
		return fmt.Errorf("sink %T takes no checkpoint", sink)
	}
	z.handed = true
	return s.WriteCheckpoint(z.checkpoint)
}

// Release aborts a checkpoint that never reached its sink.
func (z *frozen) Release() {
	if !z.handed {
		z.checkpoint.Abort()
	}
}
