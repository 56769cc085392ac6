package cluster_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster"
	"keywatch/kv"
)

// kept are checkpoints in memory of which the last is remembered. A node asks for the last at any
// time, also while one is made.
type kept struct {
	mu          sync.Mutex
	index, term uint64
	members     []byte
}

func (k *kept) Checkpoint(cp *kv.Checkpoint, index, term uint64, members []byte) error {
	cp.Commit()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.index, k.term, k.members = index, term, members
	return nil
}

func (k *kept) Last() (index, term uint64, members []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.index, k.term, k.members
}

// A server of several that is started as if it were alone must refuse: it would take writes that the
// others do not have. It knows by its log, and by its checkpoint once the log is cut.
func TestMemberIsNotTakenForAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts, k := memory(), new(kept)
		opts.ID, opts.Members, opts.Checkpoints = 7, &raftpb.ConfState{Voters: []uint64{7}}, k
		opts.Send = func(uint64, cluster.Class, []byte) {}
		n, err := cluster.Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for n.Ready() != nil {
			time.Sleep(time.Second)
		}
		mustPropose(t, n, put("k", "v", 0))
		alone := opts
		alone.ID, alone.Members = 0, nil
		refused := func(when string) {
			if _, err := cluster.Open(t.Context(), alone); err == nil || !strings.Contains(err.Error(), "several servers") {
				t.Errorf("%s: got %v, want a refusal", when, err)
			}
		}
		refused("with a log")
		if err := n.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		refused("with a checkpoint")
		if _, _, members := k.Last(); len(members) == 0 {
			t.Error("the checkpoint does not say who the members are")
		}
		opts.State = kv.NewState(kv.StateOptions{Presize: 64})
		n, err = cluster.Open(t.Context(), opts)
		if err != nil {
			t.Fatalf("as a member: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
