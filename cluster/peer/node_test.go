package peer_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster/peer"
)

// A node is a mesh and what its callbacks were told.
type node struct {
	*peer.Mesh
	t    testing.TB
	id   peer.ID
	addr string
	log  bytes.Buffer // what was logged; guarded by mu
	mu   sync.Mutex
	told []string // callbacks in their order
}

func (n *node) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(b)
}

func (n *node) tell(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, fmt.Sprintf(format, args...))
}

// take returns what was told, and forgets it.
func (n *node) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	told := n.told
	n.told = nil
	return told
}

func (n *node) logged(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return bytes.Contains(n.log.Bytes(), []byte(text))
}

// reachable reports whether the node is connected with another.
func (n *node) reachable(id peer.ID) bool {
	for _, p := range n.Stats().Peers {
		if p.ID == id {
			return p.Reachable
		}
	}
	return false
}

func (n *node) stats(id peer.ID) peer.PeerStats {
	n.t.Helper()
	for _, p := range n.Stats().Peers {
		if p.ID == id {
			return p
		}
	}
	n.t.Fatalf("node %d knows nothing of node %d", n.id, id)
	return peer.PeerStats{}
}

// place returns the address of a node in memory.
func place(id peer.ID) string { return fmt.Sprintf("n%d:7071", id) }

// join opens a mesh in the network, at the place of its id; change may change its options.
func join(t testing.TB, network *network, id peer.ID, change func(*peer.Options)) *node {
	t.Helper()
	n := &node{t: t, id: id, addr: place(id)}
	opts := peer.Options{
		ID: id, Cluster: "c", Insecure: true, Listener: network.listen(n.addr), Dial: network.dialer(n.addr),
		Logger:      slog.New(slog.NewTextHandler(n, nil)),
		Reachable:   func(id peer.ID) { n.tell("%d up", id) },
		Unreachable: func(id peer.ID) { n.tell("%d down", id) },
		Receive: func(from peer.ID, class peer.Class, body []byte) {
			if len(body) > 40 {
				n.tell("%d %s %d bytes", from, class, len(body))
				return
			}
			n.tell("%d %s %q", from, class, body)
		},
	}
	if change != nil {
		change(&opts)
	}
	mesh, err := peer.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	n.Mesh = mesh
	t.Cleanup(func() { n.close() })
	return n
}

func (n *node) close() {
	if err := n.Close(); err != nil {
		n.t.Errorf("close node %d: %v", n.id, err)
	}
}

// add makes nodes known to each other: first to those that do not dial at once.
func add(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, n := range slices.Backward(nodes) {
		for _, o := range nodes {
			if o == n {
				continue
			}
			if err := n.Add(o.id, o.addr); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// bubble runs a test whose time is not that of the machine, over a network in memory.
func bubble(t *testing.T, f func(t *testing.T, network *network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		t.Cleanup(network.close)
		f(t, network)
	})
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// expect compares what a node was told.
func expect(t testing.TB, n *node, want ...string) {
	t.Helper()
	if got := n.take(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("node %d was told %q, want %q", n.id, got, want)
	}
}
