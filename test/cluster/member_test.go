package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// A roster is what a node says of the cluster.
type roster struct {
	Leader  string
	Members []struct{ ID, Name, Role, State string }
}

// voters returns the ids of the voters that are ready, by name.
func (r roster) voters() map[string]string {
	ready := make(map[string]string)
	for _, m := range r.Members {
		if m.Role == "voter" && m.State == "ready" {
			ready[m.Name] = m.ID
		}
	}
	return ready
}

// differ says which member has another state than the leader, which compares digests.
func (r roster) differ() error {
	for _, m := range r.Members {
		if m.State == "differs" {
			return fmt.Errorf("%s differs from the leader, %s", m.Name, r.Leader)
		}
	}
	return nil
}

// roster asks a node that runs.
func (c *cluster) roster() (r roster, err error) {
	err = fmt.Errorf("no node runs")
	for _, n := range c.nodes {
		if !n.runs() {
			continue
		}
		r = roster{}
		if _, err = n.ask("/v1/cluster", &r); err == nil && r.Leader != "" {
			return r, nil
		}
	}
	return r, err
}

// awaitVoters waits until nodes vote and are ready, under other ids than old.
func (c *cluster) awaitVoters(t testing.TB, old map[string]string, nodes ...*node) {
	t.Helper()
	var last roster
	gate.Until(t, func() bool {
		var err error
		if last, err = c.roster(); err != nil {
			return false
		}
		now := last.voters()
		for _, n := range nodes {
			if id, ok := now[n.name]; !ok || id == old[n.name] {
				return false
			}
		}
		return true
	}, "%v do not vote: %v", names(nodes), func() string { return fmt.Sprintf("%+v", last) })
}

func names(nodes []*node) (list []string) {
	for _, n := range nodes {
		list = append(list, n.name)
	}
	return list
}

// change asks for a change of members until it is made, or something says that it is.
func (c *cluster) change(t testing.TB, op, name string) {
	t.Helper()
	cl := load.Of(t, c.any(1), 0)
	last := ""
	gate.Until(t, func() bool {
		a, err := cl.Do(gate.Context(t), load.Call{Method: "POST", Path: "/v1/cluster/" + op, Body: fmt.Sprintf(`{"node":%q}`, name)})
		if last = fmt.Sprint(err); err == nil {
			last = fmt.Sprintf("%d %s", a.Status, a.Body)
		}
		return err == nil && (a.Status == 200 || op == "remove" && a.Problem().Code == "member_not_found")
	}, "%s %s: %s", op, name, func() string { return last })
}

// joins has the next processes of a node join others, instead of beginning with them.
func (c *cluster) joins(n *node) {
	var addresses []string
	for _, i := range c.others(n) {
		addresses = append(addresses, fmt.Sprintf("%s:%d", nodeName(i), peerPort))
	}
	n.entry = []string{"--join", strings.Join(addresses, ",")}
}

// wipe removes what a node has stored; it must not run.
func (n *node) wipe(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(n.disk.data()); err != nil {
		t.Fatal(err)
	}
}

// changes are those of members.
func changes() []nemesis {
	return []nemesis{
		{name: "transfer", strike: transfer, lasts: time.Nanosecond},
		{name: "replace a node", strike: replace, lasts: time.Nanosecond, forgets: true},
		{name: "remove a node", strike: remove, lasts: time.Nanosecond, forgets: true},
		{name: "rolling upgrade", strike: upgrade, lasts: time.Nanosecond, forgets: true},
		{name: "install over narrow links", strike: install, lasts: time.Nanosecond, forgets: true},
	}
}

// transfer has others lead, three times.
func transfer(t testing.TB, c *cluster, rng *rand.Rand) func() {
	for range 3 {
		transferOnce(t, c, rng)
	}
	return func() {}
}

// upgrade has one node after the other run another build of the command, the leader last.
func upgrade(t testing.TB, c *cluster, rng *rand.Rand) func() {
	for _, n := range c.nodes {
		n.faulty = !n.faulty
	}
	return rolling(t, c, rng)
}

// install loses a node's disk, and has it get all of a larger state over links that pass 2 MiB a
// second, while clients work.
func install(t testing.TB, c *cluster, rng *rand.Rand) func() {
	n, old := anyNode(c, t, rng)[0], c.voters(t)
	c.did("%s is lost", n.name)
	n.kill()
	n.wipe(t)
	accepted := c.pour(t, 8<<20)
	c.did("%d MiB were written, and links are narrow", accepted>>20)
	c.wires.groups(throttled(2 << 20))
	c.joins(n)
	c.start(t, n)
	c.awaitVoters(t, old, n)
	c.did("%s has all", n.name)
	return c.healLinks
}

// replace loses a node with its disk, and has a new one take its place.
func replace(t testing.TB, c *cluster, rng *rand.Rand) func() {
	n, old := anyNode(c, t, rng)[0], c.voters(t)
	c.did("%s is lost", n.name)
	n.kill()
	n.wipe(t)
	c.joins(n)
	c.start(t, n)
	c.awaitVoters(t, old, n)
	c.did("%s is replaced", n.name)
	return func() {}
}

// remove takes a node out, and adds it again as a new one.
func remove(t testing.TB, c *cluster, rng *rand.Rand) func() {
	n, old := anyNode(c, t, rng)[0], c.voters(t)
	c.did("%s is removed", n.name)
	c.change(t, "remove", n.name)
	n.kill()
	n.wipe(t)
	c.joins(n)
	c.start(t, n)
	c.awaitVoters(t, old, n)
	c.did("%s is there again", n.name)
	return func() {}
}

// voters returns the ids of all nodes, which must vote.
func (c *cluster) voters(t testing.TB) map[string]string {
	t.Helper()
	c.awaitVoters(t, nil, c.nodes...)
	r, err := c.roster()
	if err != nil {
		t.Fatal(err)
	}
	return r.voters()
}

// TestProofMembersChange: nodes are replaced and removed, and others lead, while clients work.
func TestProofMembersChange(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := newCluster(t, 3)
	seed := gate.Seed(t)
	for i := range *rounds {
		for k, n := range changes() {
			if newHistory(c, n, seed+uint64(i*100+k)).run(t); t.Failed() {
				return
			}
		}
	}
	c.told.check(t)
}

// TestProofGrows: a server that is alone, under load, becomes one of three, and of five.
func TestProofGrows(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	all := laidOut(t, 5)
	first := *all
	first.nodes = all.nodes[:1]
	first.nodes[0].entry = nil
	first.startAll(t)
	for i, size := range []int{3, 5} {
		c := *all
		c.nodes = all.nodes[:size]
		grow := nemesis{name: fmt.Sprintf("grow to %d", size), lasts: time.Nanosecond, forgets: true, strike: func(testing.TB, *cluster, *rand.Rand) func() {
			for _, n := range c.nodes[len(first.nodes):] {
				c.joins(n)
				c.start(t, n)
			}
			c.awaitVoters(t, nil, c.nodes...)
			return func() {}
		}}
		h := newHistory(&c, grow, gate.Seed(t)+uint64(i))
		if h.run(t); t.Failed() {
			return
		}
		first.nodes = c.nodes
	}
}
