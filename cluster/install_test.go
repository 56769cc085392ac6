package cluster_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/kv"
)

// sortedLocators returns the keys of a map in order.
func sortedLocators(m map[kv.Locator][]byte) (all []kv.Locator) {
	for at := range m {
		all = append(all, at)
	}
	slices.SortFunc(all, func(a, b kv.Locator) int {
		return cmp.Or(cmp.Compare(a.Rev, b.Rev), cmp.Compare(a.Ordinal, b.Ordinal))
	})
	return all
}

// checkpoint has a node write a checkpoint and let go of its log.
func (w *team) checkpoint(id int) {
	w.t.Helper()
	if err := w.node[id].Checkpoint(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// A server that was away while the others let go of their logs must get the state of one, once,
// and go on with the log from there.
func TestInstallAfterAbsence(t *testing.T) {
	inTeam(t, nil, func(w *team) {
		leader := w.leader()
		away := 1 + leader%3
		w.put(leader, "k", "before")
		w.has(away, "k", "before")
		w.stop(away)
		for i := range 100 {
			w.put(leader, fmt.Sprint("k", i), "v")
		}
		w.checkpoint(leader)
		w.put(leader, "k", "after")
		w.restart(away)
		w.has(away, "k", "after")
		w.put(away, "through", "it")
		w.has(leader, "through", "it")
		if a, b := w.state(away).Position(), w.state(leader).Position(); a != b {
			t.Errorf("positions: %v and %v", a, b)
		}
		if n := w.images[away].installed(); n != 1 {
			t.Errorf("%d installs, want 1", n)
		}
		w.restart(away)
		w.put(leader, "k", "again")
		w.has(away, "k", "again")
	})
}

// A server that has nothing and no members must have no part in anything, get a snapshot once it is
// one of them, and take them from it.
func TestServerJoinsBySnapshot(t *testing.T) {
	inTeam(t, nil, func(w *team) {
		leader := w.leader()
		w.put(leader, "k", "v")
		w.start(4)
		time.Sleep(time.Minute)
		if err := w.node[4].Ready(); err == nil || w.node[4].Stats().Leader {
			t.Errorf("it takes commands before it has joined")
		}
		w.checkpoint(leader)
		if err := w.node[leader].ChangeMember(raftpb.ConfChangeAddLearnerNode, 4); err != nil {
			t.Fatal(err)
		}
		w.has(4, "k", "v")
		w.put(leader, "k", "w")
		w.has(4, "k", "w")
		w.restart(4)
		w.put(leader, "k", "x")
		w.has(4, "k", "x")
		w.put(4, "through", "it")
		w.has(leader, "through", "it")
	})
}
