package cluster

import (
	"bytes"
	"errors"
	"io"

	"github.com/hashicorp/raft"

	"keywatch/kv"
)

// MemorySnapshots is the snapshot store of a server that keeps nothing: a
// checkpoint only lets Raft cut its log. It is safe for concurrent use.
type MemorySnapshots struct{}

var _ raft.SnapshotStore = MemorySnapshots{}

// Create begins a checkpoint.
func (MemorySnapshots) Create(raft.SnapshotVersion, uint64, uint64, raft.Configuration, uint64, raft.Transport) (raft.SnapshotSink, error) {
	return memorySink{}, nil
}

// List returns nothing: there is nothing to start from.
func (MemorySnapshots) List() ([]*raft.SnapshotMeta, error) { return nil, nil }

// Open fails: there is nothing to read.
func (MemorySnapshots) Open(string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	return nil, io.NopCloser(&bytes.Reader{}), errors.New("nothing is kept")
}

// memorySink takes a checkpoint by committing it.
type memorySink struct{}

var _ CheckpointSink = memorySink{}

func (memorySink) WriteCheckpoint(c *kv.Checkpoint) error {
	c.Commit()
	return nil
}

func (memorySink) Write([]byte) (int, error) { return 0, errors.New("a checkpoint is not a stream") }
func (memorySink) ID() string                { return "memory" }
func (memorySink) Cancel() error             { return nil }
func (memorySink) Close() error              { return nil }
