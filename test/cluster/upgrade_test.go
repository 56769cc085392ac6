package cluster_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	release "keywatch/cluster"
	"keywatch/test/gate"
	"keywatch/test/load"
)

var from = flag.String("from", "", "the command of an earlier release, from which TestUpgradeFrom upgrades; see task prove:upgrade")

// levelPatience is how long a cluster may take until it rises to a level that all of its nodes know: they must have known it for a
// minute.
const levelPatience = 3 * time.Minute

// upgradeTo has one node after the other run the command under test, the leader last.
func upgradeTo(t testing.TB, c *cluster, _ *rand.Rand) func() {
	leader := c.awaitLeader(t)
	for _, i := range append(c.others(leader), leader.index) {
		n := c.nodes[i]
		c.did("%s is upgraded", n.name)
		n.stop(t)
		n.path = ""
		c.start(t, n)
		c.awaitReady(t)
		lasts(t, calm)
	}
	return func() {}
}

// level returns what the cluster writes, and whether a node could be asked.
func (c *cluster) level() (level int, err error) {
	var doc struct{ Level int }
	_, err = c.nodes[0].ask("/v1/cluster", &doc)
	return doc.Level, err
}

// If this failed, a cluster of an earlier release could not be upgraded while clients work, or would lose what it had. It is
// no proof that every run must have: an earlier release has to be built.
func TestUpgradeFrom(t *testing.T) {
	if *from == "" {
		t.Skip("SKIPPED: -from names no command of an earlier release; see task prove:upgrade")
	}
	c := laidOut(t, 3)
	for _, n := range c.nodes {
		n.path = *from
	}
	c.startAll(t)
	cl := load.Of(t, c.any(1), 0)
	for i := range 100 {
		cl.Must(t, load.PutCall(fmt.Sprintf("before/%d", i), "x"), 200, 201)
	}
	h := newHistory(c, nemesis{name: "upgrade", strike: upgradeTo, lasts: time.Nanosecond, forgets: true}, gate.Seed(t))
	if h.run(t); t.Failed() {
		return
	}
	if all, _ := c.converge(t, "before/"); len(all) != 100 {
		t.Errorf("%d of 100 keys are there that were written before", len(all))
	}
	for until := time.Now().Add(levelPatience); ; lasts(t, time.Second) {
		level, err := c.level()
		if err == nil && level == release.Level {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the level is %d, want %d: %v", level, release.Level, err)
		}
	}
	// All of them must start from what they have, and work, at the new level.
	if newHistory(c, nemesis{name: "kill all", strike: kill(allNodes), forgets: true}, gate.Seed(t)+1).run(t); t.Failed() {
		return
	}
	c.told.check(t)
}
