package cluster_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster"
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

// keepNothing has nodes keep no log for others.
func keepNothing(_ int, o *cluster.Options) { o.LogKeep = 1 }

// serves waits until a node takes commands.
func (w *team) serves(id int) {
	w.t.Helper()
	for range 100 {
		if w.node[id].Ready() == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Errorf("node %d does not serve: %v", id, w.node[id].Ready())
}

// fallBehind has a node miss so many entries and a checkpoint. The leader and that node are returned.
func (w *team) fallBehind(entries int) (leader, away int) {
	w.t.Helper()
	leader = w.leader()
	away = 1 + leader%3
	w.put(leader, "k", "before")
	w.has(away, "k", "before")
	w.stop(away)
	for i := range entries {
		w.put(leader, fmt.Sprint("k", i), "v")
	}
	w.checkpoint(leader)
	w.put(leader, "k", "after")
	return leader, away
}

// A server that was away while the others let go of their logs must get the state of one, once,
// and go on with the log from there.
func TestInstallAfterAbsence(t *testing.T) {
	inTeam(t, keepNothing, func(w *team) {
		leader, away := w.fallBehind(100)
		w.restart(away)
		w.has(away, "k", "after")
		w.serves(away)
		w.put(away, "through", "it")
		w.has(leader, "through", "it")
		if a, b := w.state(away).Position(), w.state(leader).Position(); a != b {
			w.t.Errorf("positions: %v and %v", a, b)
		}
		if n := w.images[away].installed(); n != 1 {
			w.t.Errorf("%d installs, want 1", n)
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
			w.t.Errorf("it takes commands before it has joined")
		}
		w.checkpoint(leader)
		if err := w.node[leader].ChangeMember(raftpb.ConfChangeAddLearnerNode, 4); err != nil {
			w.t.Fatal(err)
		}
		w.has(4, "k", "v")
		w.put(leader, "k", "w")
		w.has(4, "k", "w")
		w.restart(4)
		w.put(leader, "k", "x")
		w.has(4, "k", "x")
		w.serves(4)
		w.put(4, "through", "it")
		w.has(leader, "through", "it")
	})
}

// E4: a leader must learn that a snapshot has not arrived, however it was lost: it sends nothing else to
// that server until then. So a server that ends at any step must have everything a moment after it
// is back.
func TestReportSnapshot(t *testing.T) {
	for _, step := range []string{"half", "verify", "install", "load"} {
		inTeam(t, keepNothing, func(w *team) {
			leader, away := w.fallBehind(100)
			reached := make(chan struct{})
			w.images[away].setHook(func(now string) {
				if now == step {
					w.images[away].setHook(nil)
					close(reached)
					time.Sleep(10 * time.Millisecond) // it ends meanwhile, as far as it can
				}
			})
			w.restart(away)
			<-reached
			w.restart(away)
			back := time.Now()
			w.has(away, "k", "after")
			if took := time.Since(back); took > 5*time.Second {
				w.t.Errorf("%s: it took %v", step, took)
			}
			w.serves(away)
			w.put(away, "through", "it")
			w.has(leader, "through", "it")
		})
	}
}

// A leader that is cut off while it sends must learn that, too, and send again once it is back.
func TestSnapshotOverALinkThatBreaks(t *testing.T) {
	inTeam(t, keepNothing, func(w *team) {
		_, away := w.fallBehind(100)
		for range 3 {
			w.images[away].setHook(func(string) { w.isolate(away, true) })
			w.restart(away)
			time.Sleep(3 * time.Second)
			w.images[away].setHook(nil)
			w.isolate(away, false)
		}
		w.has(away, "k", "after")
		if n := w.images[away].installed(); n != 1 {
			w.t.Errorf("%d installs, want 1", n)
		}
	})
}

// E18: a server that joins is not in a checkpoint from before. It would drop that, and be sent it again
// and again: a newer one must be made first.
func TestCheckpointFromBeforeTheJoin(t *testing.T) {
	inTeam(t, keepNothing, func(w *team) {
		leader := w.leader()
		for i := range 50 {
			w.put(leader, fmt.Sprint("k", i), "v")
		}
		w.checkpoint(leader)
		before, _, _ := w.images[leader].Last()
		w.start(4)
		if err := w.node[leader].ChangeMember(raftpb.ConfChangeAddLearnerNode, 4); err != nil {
			w.t.Fatal(err)
		}
		joined := time.Now()
		w.has(4, "k49", "v")
		if after, _, _ := w.images[leader].Last(); after <= before {
			w.t.Errorf("the checkpoint is still that of %d", before)
		}
		if took := time.Since(joined); took > 5*time.Second || w.images[4].staged != 1 {
			w.t.Errorf("it took %v and %d snapshots", took, w.images[4].staged)
		}
	})
}

// Trap 4: entries that were never committed, more than there were committed meanwhile, must give way to
// the state of another, once; the server must lead, and start again, with what everybody has.
func TestInstallOverALongerTail(t *testing.T) {
	inTeam(t, keepNothing, func(w *team) {
		old := w.leader()
		w.put(old, "k", "before")
		for id := 1; id <= 3; id++ {
			w.has(id, "k", "before")
		}
		w.isolate(old, true)
		var tail sync.WaitGroup
		var outcomes [50]error
		for i := range outcomes {
			tail.Go(func() {
				_, outcomes[i] = w.node[old].Propose(context.Background(), put(fmt.Sprint("tail", i), "v", 0))
			})
			time.Sleep(time.Millisecond)
		}
		next := w.leader()
		for i := range 20 {
			w.put(next, fmt.Sprint("k", i), "v")
		}
		w.checkpoint(next)
		w.isolate(old, false)
		w.put(next, "k", "after")
		w.has(old, "k", "after")
		if n := w.images[old].installed(); n != 1 {
			w.t.Errorf("%d installs, want 1", n)
		}
		tail.Wait()
		unknown := 0
		for i, err := range outcomes {
			e, _ := w.state(old).Get(fmt.Sprint("tail", i))
			if errors.Is(err, kv.ErrOutcomeUnknown) {
				unknown++
			} else if (err == nil) != (e != nil) {
				w.t.Errorf("command %d of the tail: got %v, and the state has %v", i, err, e)
			}
		}
		if unknown == 0 {
			w.t.Error("who waited for what the install has jumped over was not told that it is unknown")
		}
		w.restart(old)
		w.put(next, "k", "again")
		w.has(old, "k", "again")
		for range 50 {
			other := w.leader()
			if other == old {
				break
			}
			w.isolate(other, true)
			w.leader()
			w.isolate(other, false)
			w.has(other, "k", "again")
		}
		w.put(old, "k", "as leader")
		for id := 1; id <= 3; id++ {
			w.has(id, "k", "as leader")
			if a, b := w.state(id).Position(), w.state(old).Position(); a != b {
				w.t.Errorf("server %d is at %v, and %d at %v", id, a, old, b)
			}
		}
	})
}

// Trap 5: while a snapshot is on its way over a slow link the others write and make checkpoints. The log
// behind the snapshot must still be there when it has arrived: one install, and then the log.
func TestInstallOverASlowLink(t *testing.T) {
	inTeam(t, func(_ int, o *cluster.Options) { o.LogKeep = 10_000 }, func(w *team) {
		leader, away := w.fallBehind(1000)
		w.mu.Lock()
		w.rate = 2000
		w.mu.Unlock()
		w.restart(away)
		began := time.Now()
		for i := 0; w.images[away].installed() == 0; i++ {
			w.put(leader, fmt.Sprint("busy", i%100), strings.Repeat("x", 100))
			if time.Sleep(10 * time.Millisecond); i%50 == 0 {
				w.checkpoint(leader)
			}
		}
		if took := time.Since(began); took < 5*time.Second {
			w.t.Fatalf("the link was not slow: %v", took)
		}
		w.checkpoint(leader)
		w.put(leader, "k", "at last")
		w.has(away, "k", "at last")
		if w.images[away].installed() != 1 || w.images[away].staged != 1 {
			w.t.Errorf("%d installs of %d snapshots, want 1", w.images[away].installed(), w.images[away].staged)
		}
		time.Sleep(time.Second)
		w.checkpoint(leader)
		if kept := w.opts[leader].Log.BytesAfter(0); kept > 20_000 {
			w.t.Errorf("%d bytes of log are still kept", kept)
		}
	})
}
