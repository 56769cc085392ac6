package persist_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"

	"github.com/hashicorp/raft"
)

// An fsm is the least that raft needs to drive a state.
type fsm struct{ state *kv.State }

func (f fsm) Apply(l *raft.Log) any {
	r, err := f.state.Apply(l.Index, l.Term, l.Data)
	if err != nil {
		return err
	}
	return r
}

func (f fsm) Snapshot() (raft.FSMSnapshot, error) {
	cp, err := f.state.Freeze()
	return frozen{cp}, err
}

func (f fsm) Restore(io.ReadCloser) error { panic("not to be called") }

type frozen struct{ cp *kv.Checkpoint }

func (f frozen) Persist(s raft.SnapshotSink) error { return s.(writer).WriteCheckpoint(f.cp) }
func (f frozen) Release()                          {}

// A raftNode is a store of one member.
type raftNode struct {
	db    *persist.DB
	state *kv.State
	raft  *raft.Raft
}

func startRaft(t *testing.T, dir string) *raftNode {
	t.Helper()
	db, err := persist.Open(dir, persist.Options{SegmentSize: 64 << 10, Logger: tight.Logger})
	if err != nil {
		t.Fatal(err)
	}
	n := &raftNode{db: db, state: kv.NewState(kv.StateOptions{Presize: 1})}
	if _, err := db.Load(n.state); err != nil {
		t.Fatal(err)
	}
	c := raft.DefaultConfig()
	c.LocalID, c.LogLevel, c.LogOutput = "n1", "OFF", io.Discard
	c.HeartbeatTimeout, c.ElectionTimeout = 20*time.Millisecond, 20*time.Millisecond
	c.LeaderLeaseTimeout, c.CommitTimeout = 10*time.Millisecond, time.Millisecond
	c.TrailingLogs, c.NoSnapshotRestoreOnStart = 0, true
	_, transport := raft.NewInmemTransport("a:1")
	if has, err := raft.HasExistingState(db.Log(), db.Stable(), db.Snapshots()); err != nil {
		t.Fatal(err)
	} else if !has {
		if err := raft.BootstrapCluster(c, db.Log(), db.Stable(), db.Snapshots(), transport, conf); err != nil {
			t.Fatal(err)
		}
	}
	n.raft, err = raft.NewRaft(c, fsm{n.state}, db.Log(), db.Stable(), db.Snapshots(), transport)
	if err != nil {
		t.Fatal(err)
	}
	<-n.raft.LeaderCh()
	if err := n.raft.Barrier(0).Error(); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *raftNode) do(t *testing.T, c *kv.Command) {
	t.Helper()
	if err := n.raft.Apply(kv.EncodeEntry(0, c), 0).Error(); err != nil {
		t.Fatal(err)
	}
}

func (n *raftNode) stop(t *testing.T) {
	t.Helper()
	if err := n.raft.Shutdown().Error(); err != nil {
		t.Fatal(err)
	}
	if err := n.db.Close(true); err != nil {
		t.Fatal(err)
	}
}

// If this failed, raft could not use the folder: take a snapshot, cut its log, and start again
// from both, as a member of the same cluster.
func TestRaftOverCheckpoint(t *testing.T) {
	dir := t.TempDir()
	n := startRaft(t, dir)
	var want []string
	for round := range 3 {
		for i := range 20 {
			n.do(t, put(fmt.Sprint(i), fmt.Sprint(round), 0))
		}
		if err := n.raft.Snapshot().Error(); err != nil {
			t.Fatalf("snapshot: %v", err)
		}
		if first, _ := n.db.Log().FirstIndex(); first <= uint64(20*round+1) && first != 0 {
			t.Errorf("round %d: the log still begins at %d", round, first)
		}
		n.do(t, put("after", fmt.Sprint(round), 0))
		want = dump(t, n.state, false)
		n.stop(t)
		n = startRaft(t, dir)
		got := dump(t, n.state, false)
		equal(t, fmt.Sprintf("round %d", round), got[1:], want[1:])
		servers := n.raft.GetConfiguration().Configuration().Servers
		if len(servers) != 1 || servers[0] != conf.Servers[0] {
			t.Errorf("round %d: members %v, want %v", round, servers, conf.Servers)
		}
	}
	n.stop(t)
}
