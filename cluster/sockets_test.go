package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster"
	"keywatch/cluster/peer"
	"keywatch/kv"
	"keywatch/persist/wal"
	"keywatch/test/gate"
)

// wires are three nodes over real connections, each with a log on disk.
type wires struct {
	*team
	addrs [4]string
	token peer.Token
	mesh  [4]*peer.Mesh
	of    [4]atomic.Pointer[cluster.Node]
	// ended is told by whom a process was found to have ended; nil tells the node.
	ended func(id int, other peer.ID)
}

func newWires(t testing.TB, tick time.Duration) *wires { return newWiresTelling(t, tick, nil) }

func newWiresTelling(t testing.TB, tick time.Duration, ended func(id int, other peer.ID)) *wires {
	w := &wires{team: &team{t: t}, token: peer.NewToken(), ended: ended}
	for id := 1; id <= 3; id++ {
		o := memory()
		o.ID, o.Members = uint64(id), &raftpb.ConfState{Voters: []uint64{1, 2, 3}}
		o.Tick, o.QuickLog = tick, false
		log, err := wal.Open(t.TempDir(), wal.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { log.Close() })
		o.Log = log
		o.Send = func(to uint64, class cluster.Class, frame []byte) {
			w.mesh[id].Send(peer.ID(to), classes[class], frame)
		}
		w.opts[id] = o
	}
	for id := 1; id <= 3; id++ {
		w.connect(id)
	}
	for id := 1; id <= 3; id++ {
		w.begin(id)
	}
	return w
}

// classes are those of peer.
var classes = map[cluster.Class]peer.Class{cluster.Control: peer.Control, cluster.Bulk: peer.Append}

// connect opens the mesh of a node, at the address that it had before.
func (w *wires) connect(id int) {
	w.t.Helper()
	at := w.addrs[id]
	if at == "" {
		at = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.addrs[id] = listener.Addr().String()
	mesh, err := peer.Open(peer.Options{
		ID: peer.ID(id), Cluster: "three", Listener: listener, Tokens: []peer.Token{w.token},
		Receive: func(from peer.ID, _ peer.Class, body []byte) {
			if n := w.of[id].Load(); n != nil {
				n.Receive(uint64(from), body)
			}
		},
		Unreachable: func(other peer.ID) {
			if n := w.of[id].Load(); n != nil {
				n.Unreachable(uint64(other))
			}
		},
		Ended: func(other peer.ID) {
			if w.ended != nil {
				w.ended(id, other)
			} else if n := w.of[id].Load(); n != nil {
				n.Ended(uint64(other))
			}
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mesh[id] = mesh
	for other := 1; other <= 3; other++ {
		if other == id || w.addrs[other] == "" {
			continue
		}
		if err := errors.Join(mesh.Add(peer.ID(other), w.addrs[other]), w.mesh[other].Add(peer.ID(id), w.addrs[id])); err != nil {
			w.t.Fatal(err)
		}
	}
}

// begin starts a node.
func (w *wires) begin(id int) {
	w.t.Helper()
	w.start(id)
	w.of[id].Store(w.node[id])
}

// finish stops a node and its connections.
func (w *wires) finish(id int) {
	w.t.Helper()
	w.of[id].Store(nil)
	w.stop(id)
	if err := w.mesh[id].Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *wires) end() {
	for id := 1; id <= 3; id++ {
		w.finish(id)
	}
}

// Three servers over real connections and logs on disk must take commands on each, and go on when
// the leader's process ends and starts again.
func TestThreeServersOverSockets(t *testing.T) {
	w := newWires(t, 5*time.Millisecond)
	defer w.end()
	gate.Until(t, w.ready, "three servers take commands")
	var wg sync.WaitGroup
	var failed atomic.Int64
	over := make(chan struct{})
	acked := make([]int, 3)
	leader := 1
	for id := 1; id <= 3; id++ {
		if w.node[id].Stats().Leader {
			leader = id
		}
	}
	for id := 1; id <= 3; id++ {
		if id == leader {
			continue
		}
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				_, err := w.node[id].Propose(ctx, put(fmt.Sprintf("%d/%d", id, i), "x", 0))
				cancel()
				if err != nil {
					failed.Add(1)
					t.Errorf("put %d at %d: %v", i, id, err)
					return
				}
				acked[id-1] = i + 1
			}
		})
	}
	gate.Until(t, func() bool { return w.opts[leader].State.Len() > 200 }, "200 keys at the leader")
	w.finish(leader)
	before := w.opts[1+leader%3].State.Len()
	gate.Until(t, func() bool { return failed.Load() > 0 || w.opts[1+leader%3].State.Len() > before+200 }, "200 more keys without the leader")
	w.opts[leader].State = kv.NewState(kv.StateOptions{Presize: 64})
	w.connect(leader)
	w.begin(leader)
	close(over)
	wg.Wait()
	for id := 1; id <= 3; id++ {
		for from := 1; from <= 3; from++ {
			if acked[from-1] > 0 {
				gate.Until(t, func() bool {
					e, _ := w.opts[id].State.Get(fmt.Sprintf("%d/%d", from, acked[from-1]-1))
					return e != nil
				}, "what was acknowledged", func() string { return fmt.Sprintf("server %d has not the last of %d", id, from) })
			}
		}
	}
}
