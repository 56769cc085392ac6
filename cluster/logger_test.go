package cluster_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"keywatch/cluster"
)

// noSnapshots refuses every checkpoint.
type noSnapshots struct{ cluster.MemorySnapshots }

func (noSnapshots) Create(raft.SnapshotVersion, uint64, uint64, raft.Configuration, uint64, raft.Transport) (raft.SnapshotSink, error) {
	return nil, errors.New("the disk is gone")
}

// Raft's errors must be errors in our log, too, or nobody who filters it sees them.
func TestRaftsLinesKeepTheirLevel(t *testing.T) {
	var b bytes.Buffer
	opts := memory()
	opts.Snapshots, opts.Logger = noSnapshots{}, slog.New(slog.NewTextHandler(&b, nil))
	n := open(t, opts)
	mustPropose(t, n, put("k", "x", 0))
	if err := n.Checkpoint(t.Context()); err == nil {
		t.Fatal("a checkpoint was made without a place for it")
	}
	if err := n.Close(); err != nil { // nobody writes to b any more
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, `level=ERROR msg="raft: `) || !strings.Contains(got, "the disk is gone") || strings.Contains(got, "[ERROR]") {
		t.Errorf("logged:\n%s", got)
	}
}
