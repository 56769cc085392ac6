package cluster_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"keywatch/cluster/peer"
	"keywatch/test/gate"
)

// leadsWithin waits for a leader and returns how long that took, and who it is.
func (w *team) leadsWithin(most time.Duration) (took time.Duration, leader int) {
	w.t.Helper()
	for ; took <= most; took += time.Millisecond {
		for id, n := range w.node {
			if n != nil && n.Stats().Leader {
				return took, id
			}
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatalf("no node leads after %v", most)
	return 0, 0
}

// When the process of a leader ends the others must not wait until it is missed, whichever of them notices it first, and
// by how much.
func TestLeaderThatEndsIsReplacedAtOnce(t *testing.T) {
	for _, apart := range []time.Duration{0, 10 * time.Millisecond, 40 * time.Millisecond, 170 * time.Millisecond} {
		for _, lowFirst := range []bool{true, false} {
			inTeam(t, nil, func(w *team) {
				old := w.leader()
				w.put(old, "k", "v")
				rest := slices.DeleteFunc([]int{1, 2, 3}, func(id int) bool { return id == old })
				if !lowFirst {
					slices.Reverse(rest)
				}
				w.stop(old)
				w.node[rest[0]].Ended(uint64(old))
				time.Sleep(apart)
				w.node[rest[1]].Ended(uint64(old))
				if took, _ := w.leadsWithin(time.Second); took > 110*time.Millisecond {
					w.t.Errorf("noticed %v apart, the lower id first: %v: another led after %v", apart, lowFirst, took)
				}
				w.put(rest[0], "k", "w")
			})
		}
	}
}

// A node that is wrong about the end of its leader, again and again, must not have another lead, and must be able to read.
func TestLeaderThatIsTakenForEnded(t *testing.T) {
	inTeam(t, nil, func(w *team) {
		l := w.leader()
		wrong, _ := others(l)
		led := w.node[l].Leads()
		for range 100 {
			w.node[wrong].Ended(uint64(l))
			time.Sleep(30 * time.Millisecond)
		}
		if got := w.node[l].Leads(); got != led {
			w.t.Errorf("the leader of term %d leads in term %d", led, got)
		}
		if err := w.node[wrong].ReadBarrier(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	})
}

// Over real connections the end of a process must be noticed, and another lead, without a single tick: what else an
// election begins with takes hours here.
func TestLeaderThatEndsOverSockets(t *testing.T) {
	var noticed sync.Map
	w := newWiresTelling(t, time.Hour, func(id int, _ peer.ID) { noticed.Store(id, true) })
	defer w.end()
	gate.Until(t, func() bool {
		one, _ := w.mesh[3].Connected(1)
		two, _ := w.mesh[3].Connected(2)
		return one && two
	}, "node 3 is connected")
	w.node[3].Campaign()
	gate.Until(t, func() bool { return w.node[3].Stats().Leader }, "node 3 leads")
	w.put(3, "k", "v")
	gate.Until(t, func() bool { return w.state(1).Len()+w.state(2).Len() == 2 }, "all have the key")
	w.finish(3)
	for _, id := range []int{2, 1} { // the first in turn comes last: else it would be the other's turn, after hours
		gate.Until(t, func() bool { _, ok := noticed.Load(id); return ok }, "node %d notices that node 3 has ended", id)
		w.node[id].Ended(3)
	}
	gate.Until(t, func() bool { return w.node[1].Stats().Leader }, "node 1 leads")
	w.put(1, "k", "w")
}
