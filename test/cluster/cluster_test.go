package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/cluster/peer"
	"keywatch/test/gate"
	"keywatch/test/load"
)

// diskSize is the room of a node, in MiB.
const diskSize = 512

// A cluster is nodes that are one store.
type cluster struct {
	nodes []*node
	wires *wires
	token string // the file
	began time.Time
	log   *output // what was done to it
	told  *told   // what clients that wait were told
}

// newCluster starts a cluster of so many nodes and waits until all are ready. Further arguments
// are those of each node.
func newCluster(t testing.TB, size int, args ...string) *cluster {
	t.Helper()
	c := laidOut(t, size, args...)
	c.startAll(t)
	return c
}

// newFaulty is newCluster of nodes in which a fault is planted; with "" that is none, but their
// fsyncs can be held.
func newFaulty(t testing.TB, size int, fault string) *cluster {
	t.Helper()
	c := laidOut(t, size)
	for _, n := range c.nodes {
		n.faulty, n.fault = true, fault
	}
	c.startAll(t)
	return c
}

// laidOut returns a cluster of which no node runs.
func laidOut(t testing.TB, size int, args ...string) *cluster {
	t.Helper()
	available(t)
	net := newNetwork(t, size)
	c := &cluster{log: new(output), told: new(told), wires: newWires(t, net), began: time.Now(), token: filepath.Join(t.TempDir(), "token")}
	if err := os.WriteFile(c.token, []byte(peer.NewToken().Text()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range size {
		all = append(all, fmt.Sprintf("%s:%d", nodeName(i), peerPort))
	}
	for i := range size {
		n := &node{index: i, name: nodeName(i), ns: net.ns(i), disk: newDisk(t, net.name(), diskSize)}
		n.url = fmt.Sprintf("http://%s:%d", net.node(i), httpPort)
		n.args = append([]string{
			"--listen", fmt.Sprintf("%s:%d", net.node(i), httpPort), "--insecure", "--log-level", "info",
			"--peer-listen", fmt.Sprintf("%s:%d", net.node(i), peerPort), "--peer-advertise", all[i],
			"--peer-token-file", c.token, "--name", n.name, "--advertise", n.url,
			"--heartbeat", "200ms",
			"--idem-per-caller", "1000000", // one machine sends the requests of hundreds of histories
		}, args...)
		n.entry = []string{"--join", strings.Join(all, ","), "--expect", fmt.Sprint(size)}
		c.nodes = append(c.nodes, n)
	}
	t.Cleanup(func() { c.end(t) })
	return c
}

// startAll starts all nodes and waits until they are ready.
func (c *cluster) startAll(t testing.TB) {
	t.Helper()
	for _, n := range c.nodes {
		c.start(t, n)
	}
	c.awaitReady(t)
}

// end kills all nodes, and shows what they said if the test has failed.
func (c *cluster) end(t testing.TB) {
	for _, n := range c.nodes {
		n.kill()
		if err := n.broken(); err != nil {
			t.Error(err)
		}
	}
	if !t.Failed() {
		return
	}
	t.Logf("what was done:\n%s", c.log.String())
	for _, n := range c.nodes {
		printed := n.out.String()
		t.Logf("%s printed:\n%s", n.name, printed[max(0, len(printed)-8<<10):])
	}
}

// did notes what was done to the cluster.
func (c *cluster) did(format string, args ...any) {
	fmt.Fprintf(c.log, "%s %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// start starts the process of a node.
func (c *cluster) start(t testing.TB, n *node) {
	t.Helper()
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
}

// awaitReady waits until every node is ready.
func (c *cluster) awaitReady(t testing.TB) {
	t.Helper()
	for _, n := range c.nodes {
		gate.Until(t, func() bool { return n.ready() || !n.runs() }, "%s is not ready", n.name)
		if !n.runs() {
			t.Fatalf("%s has ended", n.name)
		}
	}
}

// leader returns the node that leads, nil if none does. A deposed leader that does not know it
// yet is not told apart.
func (c *cluster) leader() *node {
	for _, n := range c.nodes {
		if n.leads() {
			return n
		}
	}
	return nil
}

// awaitLeader waits until a node leads.
func (c *cluster) awaitLeader(t testing.TB) (n *node) {
	t.Helper()
	gate.Until(t, func() bool { n = c.leader(); return n != nil }, "no node leads")
	return n
}

// others returns the indexes of all nodes but for some.
func (c *cluster) others(but ...*node) (list []int) {
next:
	for i, n := range c.nodes {
		for _, b := range but {
			if b == n {
				continue next
			}
		}
		list = append(list, i)
	}
	return list
}

// A lottery is a target that picks any node of a cluster, whatever its state: clients do not
// know. It is safe for concurrent use.
type lottery struct {
	nodes []*node
	mu    struct {
		sync.Mutex
		rng *rand.Rand
	}
}

// any returns a target that picks any node.
func (c *cluster) any(seed uint64) load.Target {
	l := &lottery{nodes: c.nodes}
	l.mu.rng = rand.New(rand.NewPCG(seed, 1))
	return l
}

// Pick implements load.Target.
func (l *lottery) Pick() (url string, lost func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes[l.mu.rng.IntN(len(l.nodes))].url, load.Pause
}

// at is a target that is one node.
type at struct{ *node }

// Pick implements load.Target.
func (a at) Pick() (url string, lost func(context.Context)) { return a.url, load.Pause }
