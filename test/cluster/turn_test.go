package cluster_test

import (
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
)

const (
	day = 24 * time.Hour
	// fastest is the rate of the fastest clock, slowest that of the slowest. Clocks of machines differ by one in a thousand
	// at most; these show what is counted by which.
	fastest, slowest = 1.6, 0.75
)

// newTurnable is newCluster of nodes whose clocks can be turned.
func newTurnable(t testing.TB, size int) *cluster {
	t.Helper()
	c := laidOut(t, size)
	c.turnable(t)
	c.startAll(t)
	return c
}

// turnable has the clocks of all processes be such that they can be turned.
func (c *cluster) turnable(t testing.TB) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		gate.Missing(t, "clocks of processes can be turned on amd64 only")
	}
	for _, n := range c.nodes {
		n.turnable = true
	}
}

// turn turns the clocks of a node.
func (c *cluster) turn(t testing.TB, n *node, how turning) {
	if err := n.process().clock.turn(how); err != nil {
		t.Errorf("turn the clocks of %s: %v", n.name, err)
	}
}

// date returns what a node says that the time is.
func (n *node) date() (time.Time, error) {
	resp, err := looker.Get(n.url + "/healthz")
	if err != nil {
		return time.Time{}, err
	}
	resp.Body.Close()
	return http.ParseTime(resp.Header.Get("Date"))
}

// awaitWrong waits until a node says a time that is wrong by about what was made so. It is how we know that it was.
func (c *cluster) awaitWrong(t testing.TB, n *node, by time.Duration) {
	t.Helper()
	var got time.Time
	gate.Until(t, func() bool {
		var err error
		got, err = n.date()
		return err == nil && (time.Until(got)-by).Abs() < time.Hour
	}, "the clock of %s is not wrong by %v: it says %v", n.name, by, func() time.Time { return got })
}

// rightClocks returns what ends a nemesis of clocks.
func (c *cluster) rightClocks(t testing.TB) func() {
	return func() {
		for _, n := range c.nodes {
			c.did("the clocks of %s are right", n.name)
			n.wrong = 0
			c.turn(t, n, turning{move: -n.process().clock.wrong()})
		}
	}
}

// clocks are those of clocks.
func clocks() []nemesis {
	return []nemesis{
		{name: "clock of the leader a day ahead", strike: moveClock(day)},
		{name: "clock of the leader a day behind", strike: moveClock(-day)},
		{name: "restart with a clock a day ahead", strike: restartWrong(day), forgets: true},
		{name: "restart with a clock a day behind", strike: restartWrong(-day), forgets: true},
		{name: "clocks to and fro", strike: toAndFro},
		{name: "clocks that drift", strike: drift, fast: fastest},
	}
}

// moveClock moves the clock of the leader's day.
func moveClock(by time.Duration) func(testing.TB, *cluster, *rand.Rand) func() {
	return func(t testing.TB, c *cluster, _ *rand.Rand) func() {
		n := c.awaitLeader(t)
		c.did("the clock of %s, which leads, is moved by %v", n.name, by)
		c.turn(t, n, turning{move: by})
		c.awaitWrong(t, n, by)
		return c.rightClocks(t)
	}
}

// restartWrong kills the leader and one more, and starts them with a clock that is wrong.
func restartWrong(by time.Duration) func(testing.TB, *cluster, *rand.Rand) func() {
	return func(t testing.TB, c *cluster, rng *rand.Rand) func() {
		leader := c.awaitLeader(t)
		others := c.others(leader)
		for _, n := range []*node{leader, c.nodes[others[rng.IntN(len(others))]]} {
			c.did("%s is killed, and starts with a clock that is wrong by %v", n.name, by)
			n.kill()
			n.wrong = by
			c.start(t, n)
		}
		c.awaitReady(t)
		c.awaitWrong(t, leader, by)
		return c.rightClocks(t)
	}
}

// toAndFro moves the clock of every node's day again and again, by up to two hours.
func toAndFro(t testing.TB, c *cluster, rng *rand.Rand) func() {
	return c.turnAgain(t, rng, turning{}, c.nodes...)
}

// turnAgain turns clocks of nodes each 50 ms, and moves that of the day by up to two hours each time.
func (c *cluster) turnAgain(t testing.TB, rng *rand.Rand, how turning, nodes ...*node) func() {
	c.did("the clocks of %v go to and fro", names(nodes))
	rng = rand.New(rand.NewPCG(rng.Uint64(), 1))
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-over:
				return
			}
			for _, n := range nodes {
				how.move = time.Duration(rng.Int64N(int64(4*time.Hour))) - 2*time.Hour
				c.turn(t, n, how)
			}
		}
	})
	return func() {
		close(over)
		running.Wait()
		c.rightClocks(t)()
	}
}

// drift has both clocks of every node be fast or slow, each as it likes.
func drift(t testing.TB, c *cluster, rng *rand.Rand) func() {
	for _, n := range c.nodes {
		how := turning{day: 0.5 + 1.5*rng.Float64(), steady: slowest + (fastest-slowest)*rng.Float64()}
		c.did("the clocks of %s drift: %+v", n.name, how)
		c.turn(t, n, how)
	}
	return c.rightClocks(t)
}

// allClocks has all clocks be fast, so that any may lead: the leader's is a day ahead, another's moved again and again, and
// the third is killed and starts with one that is a day behind.
func allClocks(t testing.TB, c *cluster, rng *rand.Rand) func() {
	n := c.awaitLeader(t)
	others := c.others(n)
	back := c.nodes[others[1]]
	c.did("%s, which leads, is fast and a day ahead; %s starts a day behind", n.name, back.name)
	c.turn(t, n, turning{move: day, day: fastest, steady: fastest})
	back.kill()
	back.wrong = -day
	c.start(t, back)
	c.turn(t, back, turning{day: fastest, steady: fastest})
	heal := c.turnAgain(t, rng, turning{day: slowest, steady: fastest}, c.nodes[others[0]])
	c.awaitReady(t)
	c.awaitWrong(t, n, day)
	c.awaitWrong(t, back, -day)
	return heal
}

// TestProofClocks: what clocks say, while servers run and when they start, changes nothing for clients, but for how fast the
// leader's steady clock is: by that times to live and leases are counted.
func TestProofClocks(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := newTurnable(t, 3)
	h := newHistory(c, nemesis{name: "clocks", strike: allClocks, forgets: true, fast: fastest}, gate.Seed(t))
	h.tenants = c.tenants(t, 2, h.seed, nil, fastest) // there is a leader all the time
	h.run(t)
	if checkTenants(t, h.tenants); t.Failed() {
		return
	}
	// The judges see that the leader is fast: so what they let pass otherwise is no accident.
	h.mortals.fast = 1
	if err := h.mortals.judge(h.pulse.leaderless); err == nil || !strings.Contains(err.Error(), "its TTL is") {
		t.Errorf("keys that ended early by a clock that is fast were not found among %d: %v", len(h.mortals.mu.keys), err)
	}
}

// TestProofTimeByTheDayIsFound: servers that count time by the clock of the day are found, where that is fast.
func TestProofTimeByTheDayIsFound(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := laidOut(t, 3)
	for _, n := range c.nodes {
		n.faulty, n.fault = true, "time by the clock of the day"
	}
	c.turnable(t)
	c.startAll(t)
	fast := nemesis{name: "a day that is short", strike: func(t testing.TB, c *cluster, _ *rand.Rand) func() {
		for _, n := range c.nodes {
			c.turn(t, n, turning{day: 2})
		}
		return c.rightClocks(t)
	}}
	h := newHistory(c, fast, gate.Seed(t))
	h.during(t)
	if err := h.mortals.judge(h.pulse.leaderless); err == nil || !strings.Contains(err.Error(), "its TTL is") {
		t.Errorf("keys that ended early by the clock of the day were not found among %d: %v", len(h.mortals.mu.keys), err)
	}
}
