package cluster_test

import (
	"fmt"
	"testing"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// work has nodes take writes and show them, each of which must be answered as if nothing were wrong with another one.
func (c *cluster) work(t testing.TB, prefix string, nodes []int) {
	t.Helper()
	for k := range 60 {
		n, other := c.nodes[nodes[k%len(nodes)]], c.nodes[nodes[(k+1)%len(nodes)]]
		key := fmt.Sprintf("%s%d", prefix, k)
		load.Of(t, at{n}, 0).Must(t, load.PutCall(key, "x"), 200, 201)
		load.Of(t, at{other}, 0).Must(t, load.GetCall(key), 200)
	}
}

// takesWrites waits until nodes take writes.
func (c *cluster) takesWrites(t testing.TB, nodes []int) {
	t.Helper()
	for _, i := range nodes {
		cl := load.Of(t, at{c.nodes[i]}, patience)
		gate.Until(t, func() bool {
			a, err := cl.Do(t.Context(), load.PutCall("probe", "x"))
			return err == nil && a.Status/100 == 2
		}, "%s takes no write", c.nodes[i].name)
	}
}

// hasRoom reports what the others say about the disk of a node.
func (c *cluster) hasRoom(n *node) bool {
	var r struct {
		Members []struct {
			Name string
			Room bool
		}
	}
	for _, i := range c.others(n) {
		if _, err := c.nodes[i].ask("/v1/cluster", &r); err != nil {
			continue
		}
		for _, m := range r.Members {
			if m.Name == n.name {
				return m.Room
			}
		}
	}
	return true
}

// TestProofFullDiskOfOneNode: a disk that is full, of a follower and of the leader, stops neither the others nor what its own
// node shows of what it has.
func TestProofFullDiskOfOneNode(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := newCluster(t, 3)
	for _, which := range []string{"follower", "leader"} {
		n := c.awaitLeader(t)
		if which == "follower" {
			n = c.nodes[c.others(n)[0]]
		}
		load.Of(t, at{n}, 0).Must(t, load.PutCall("before", which), 200, 201)
		c.did("the disk of %s, the %s, is full", n.name, which)
		if err := n.disk.fill(); err != nil {
			t.Fatal(err)
		}
		gate.Until(t, func() bool { c.pour(t, 32<<20); return !c.hasRoom(n) }, "%s has room", n.name)
		gate.Until(t, func() bool { l := c.leader(); return l != nil && l != n }, "no other node than %s leads", n.name)
		c.takesWrites(t, c.others(n))
		c.work(t, which+"/", c.others(n))
		for range 20 {
			a := load.Of(t, at{n}, 0).Must(t, load.GetCall("before?consistency=local"), 200)
			if a.Body != which {
				t.Errorf("%s, whose disk is full, shows %q, want %q", n.name, a.Body, which)
			}
		}
		if err := n.disk.free(); err != nil {
			t.Fatal(err)
		}
		c.did("the disk of %s has room", n.name)
		c.awaitReady(t)
		c.converge(t, which)
		c.takesWrites(t, c.others()) // a node looks for room each second
		c.work(t, which+"/", c.others())
	}
}

// TestProofHungDiskIsLedAround: while no fsync of the leader ends, another node leads, and takes what the leader could not.
func TestProofHungDiskIsLedAround(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := newFaulty(t, 3, "")
	n := c.awaitLeader(t)
	release, err := n.disk.hold("hang")
	if err != nil {
		t.Fatal(err)
	}
	c.did("fsyncs of %s, which leads, hang", n.name)
	others := c.others(n)
	c.takesWrites(t, others)
	c.work(t, "hung/", others)
	if l := c.leader(); l == n {
		t.Errorf("%s still leads", n.name)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	c.awaitReady(t)
	c.converge(t, "hung/")
	c.work(t, "after/", c.others())
}
