package cluster_test

import (
	"fmt"
	"keywatch/test/load"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A nemesis does something bad to a cluster.
type nemesis struct {
	name string
	// strike begins it and returns what ends it.
	strike func(t testing.TB, c *cluster, rng *rand.Rand) (heal func())
	// lasts is for how long, at most; the zero value is as long as most do.
	lasts time.Duration
	// forgets says that it ends processes: a new one does not have all that happened, so that
	// watches may be told of the newest versions only.
	forgets bool
	// fast is how fast it makes the clocks of servers, of which 1 is right; 0 is 1.
	fast float64
}

// nemeses are those that need nothing but nodes.
func nemeses() []nemesis {
	return append(links(), processes()...)
}

// links are those of the network.
func links() []nemesis {
	return []nemesis{
		{name: "the leader alone", strike: leaderAlone(lost)},
		{name: "the leader alone, reset", strike: leaderAlone(refused)},
		{name: "halves", strike: halves},
		{name: "ring with a bridge", strike: bridge},
		{name: "one way to the leader", strike: oneWay(true)},
		{name: "one way from the leader", strike: oneWay(false)},
		{name: "half-open", strike: halfOpen},
		{name: "slow links", strike: slowLinks},
		{name: "narrow links", strike: narrowLinks},
		{name: "links that come and go", strike: flapping},
	}
}

// leaderAlone separates the leader from all others.
func leaderAlone(how way) func(testing.TB, *cluster, *rand.Rand) func() {
	return func(t testing.TB, c *cluster, _ *rand.Rand) func() {
		n := c.awaitLeader(t)
		c.did("%s, which leads, is alone", n.name)
		c.wires.groups(how, c.others(n))
		return c.healLinks
	}
}

func (c *cluster) healLinks() {
	c.did("links are healed")
	c.wires.heal()
}

// halves separates two groups at random, so that one may have a majority.
func halves(_ testing.TB, c *cluster, rng *rand.Rand) func() {
	order := rng.Perm(len(c.nodes))
	cut := 1 + rng.IntN(len(order)-1)
	c.did("%v and %v are apart", order[:cut], order[cut:])
	c.wires.groups(lost, order[:cut], order[cut:])
	return c.healLinks
}

// bridge leaves one node, or with five one more on each side, that reaches both halves.
func bridge(_ testing.TB, c *cluster, rng *rand.Rand) func() {
	order := rng.Perm(len(c.nodes))
	middle := len(order) / 2
	c.did("only node %d reaches both %v and %v", order[middle], order[:middle], order[middle+1:])
	c.wires.groups(lost, order[:middle+1], order[middle:])
	return c.healLinks
}

// oneWay has nothing arrive at the leader, or nothing that it sends.
func oneWay(to bool) func(testing.TB, *cluster, *rand.Rand) func() {
	return func(t testing.TB, c *cluster, _ *rand.Rand) func() {
		n := c.awaitLeader(t)
		c.did("one way, towards %s: %v", n.name, to)
		for _, i := range c.others(n) {
			if to {
				c.wires.change(i, n.index, lost)
			} else {
				c.wires.change(n.index, i, lost)
			}
		}
		return c.healLinks
	}
}

// halfOpen has one end of the connections of two nodes be gone, and the other not know it.
func halfOpen(t testing.TB, c *cluster, rng *rand.Rand) func() {
	n := c.awaitLeader(t)
	others := c.others(n)
	i, j := n.index, others[rng.IntN(len(others))]
	if rng.IntN(2) == 0 {
		i, j = j, i
	}
	c.did("the connections of %d and %d are half open", i, j)
	c.wires.halfOpen(i, j)
	return c.healLinks
}

// slowLinks delays what goes to and from a node.
func slowLinks(_ testing.TB, c *cluster, rng *rand.Rand) func() {
	n, d := rng.IntN(len(c.nodes)), time.Duration(20+rng.IntN(300))*time.Millisecond
	c.did("all of node %d takes %v", n, d)
	for i := range c.nodes {
		if i != n {
			c.wires.change(i, n, delayed(d))
			c.wires.change(n, i, delayed(d))
		}
	}
	return c.healLinks
}

// narrowLinks bounds the bytes a second between all nodes.
func narrowLinks(_ testing.TB, c *cluster, rng *rand.Rand) func() {
	rate := 16<<10 + rng.IntN(64<<10)
	c.did("all links pass %d bytes a second", rate)
	c.wires.groups(throttled(rate))
	return c.healLinks
}

// flapping resets all connections of the leader again and again.
func flapping(t testing.TB, c *cluster, rng *rand.Rand) func() {
	n := c.awaitLeader(t)
	c.did("the links of %s come and go", n.name)
	over, done := make(chan struct{}), make(chan struct{})
	pause := time.Duration(50+rng.IntN(200)) * time.Millisecond
	go func() {
		defer close(done)
		for {
			select {
			case <-time.After(pause):
			case <-over:
				return
			}
			for _, i := range c.others(n) {
				c.wires.endPair(i, n.index)
			}
		}
	}()
	return func() {
		close(over)
		<-done
		c.healLinks()
	}
}

// processes are those of processes.
func processes() []nemesis {
	return []nemesis{
		{name: "kill the leader", strike: kill((*cluster).theLeader), forgets: true},
		{name: "kill a node", strike: kill(anyNode), forgets: true},
		{name: "kill all", strike: kill(allNodes), forgets: true},
		{name: "stop the leader", strike: stop, forgets: true},
		{name: "pause the leader", strike: pause((*cluster).theLeader)},
		{name: "pause a node", strike: pause(anyNode)},
		{name: "pause all", strike: pause(allNodes)},
		{name: "rolling restart", strike: rolling, lasts: time.Nanosecond, forgets: true},
		{name: "full disk", strike: fullDisk},
	}
}

// A choice picks whom a nemesis strikes.
type choice func(c *cluster, t testing.TB, rng *rand.Rand) []*node

func (c *cluster) theLeader(t testing.TB, _ *rand.Rand) []*node { return []*node{c.awaitLeader(t)} }

func anyNode(c *cluster, _ testing.TB, rng *rand.Rand) []*node {
	return []*node{c.nodes[rng.IntN(len(c.nodes))]}
}

func allNodes(c *cluster, _ testing.TB, _ *rand.Rand) []*node { return c.nodes }

// kill kills nodes and starts them again.
func kill(who choice) func(testing.TB, *cluster, *rand.Rand) func() {
	return func(t testing.TB, c *cluster, rng *rand.Rand) func() {
		list := who(c, t, rng)
		for _, n := range list {
			c.did("%s is killed", n.name)
			n.signal(syscall.SIGKILL)
		}
		for _, n := range list {
			n.kill()
		}
		return func() {
			for _, n := range list {
				c.did("%s starts", n.name)
				c.start(t, n)
			}
		}
	}
}

// stop stops the leader in order and starts it again.
func stop(t testing.TB, c *cluster, _ *rand.Rand) func() {
	n := c.awaitLeader(t)
	c.did("%s, which leads, is asked to stop", n.name)
	n.signal(syscall.SIGTERM)
	return func() {
		n.awaitStop(t)
		c.did("%s starts", n.name)
		c.start(t, n)
	}
}

// pause has processes not run.
func pause(who choice) func(testing.TB, *cluster, *rand.Rand) func() {
	return func(t testing.TB, c *cluster, rng *rand.Rand) func() {
		list := who(c, t, rng)
		for _, n := range list {
			c.did("%s is paused", n.name)
			n.pause()
		}
		return func() {
			for _, n := range list {
				c.did("%s continues", n.name)
				n.resume()
			}
		}
	}
}

// rolling restarts one node after the other, the leader last, each once the others are ready.
func rolling(t testing.TB, c *cluster, _ *rand.Rand) func() {
	leader := c.awaitLeader(t)
	for _, i := range append(c.others(leader), leader.index) {
		n := c.nodes[i]
		c.did("%s is restarted", n.name)
		n.stop(t)
		c.start(t, n)
		c.awaitReady(t)
	}
	return func() {}
}

// fullDisk takes the room of a disk away and writes until the log of its node would have to grow.
func fullDisk(t testing.TB, c *cluster, rng *rand.Rand) func() {
	n := anyNode(c, t, rng)[0]
	if rng.IntN(2) == 0 {
		n = c.awaitLeader(t)
	}
	c.did("the disk of %s is full", n.name)
	if err := n.disk.fill(); err != nil {
		t.Fatal(err)
	}
	accepted := c.pour(t, 96<<20)
	c.did("%d MiB were accepted since", accepted>>20)
	return func() {
		c.did("the disk of %s has room", n.name)
		if err := n.disk.free(); err != nil {
			t.Fatal(err)
		}
	}
}

// pour writes large values, at any node, until so many bytes were accepted or one is refused.
func (c *cluster) pour(t testing.TB, most int) (accepted int) {
	cl := load.Of(t, c.any(1), patience)
	for value := strings.Repeat("v", 512<<10); accepted < most; accepted += len(value) {
		a, err := cl.Do(t.Context(), load.PutCall(fmt.Sprintf("pour/%d", accepted%(8<<20)), value))
		if err != nil || a.Status >= 500 {
			c.did("a large value is refused: %v, %v", err, a)
			return accepted
		}
	}
	return accepted
}

// disks are those that only nodes of the faulty build have.
func disks() []nemesis {
	return []nemesis{
		{name: "slow fsync of the leader", strike: holdSyncs((*cluster).theLeader, "60ms")},
		{name: "slow fsync of a node", strike: holdSyncs(anyNode, "150ms")},
		{name: "hung fsync of the leader", strike: holdSyncs((*cluster).theLeader, "hang"), lasts: 3 * time.Second},
		{name: "hung fsync of a node", strike: holdSyncs(anyNode, "hang")},
		{name: "hung fsync of all", strike: holdSyncs(allNodes, "hang")},
	}
}

// holdSyncs has fsyncs of nodes take longer, or hang.
func holdSyncs(who choice, how string) func(testing.TB, *cluster, *rand.Rand) func() {
	return func(t testing.TB, c *cluster, rng *rand.Rand) func() {
		var release []func() error
		for _, n := range who(c, t, rng) {
			c.did("fsyncs of %s: %s", n.name, how)
			r, err := n.disk.hold(how)
			if err != nil {
				t.Fatal(err)
			}
			release = append(release, r)
		}
		return func() {
			c.did("fsyncs are quick again")
			for _, r := range release {
				if err := r(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
