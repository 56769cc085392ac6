package cluster_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// What a process of the faulty build can be: a release that does not know one kind of command, the next one, which knows
// it from a level of the cluster on, and one that logs it at any level.
const (
	releaseBefore = "the release before"
	releaseNext   = "a release to come"
	releaseHasty  = "a release that does not ask"
)

// newKind asks a node for what only a later release knows, until that is answered.
func (c *cluster) newKind(t testing.TB, n *node) (a *load.Answer) {
	t.Helper()
	cl := load.Of(t, at{n}, 0)
	gate.Until(t, func() bool {
		var err error
		a, err = cl.Do(gate.Context(t), load.Call{Method: "POST", Path: "/v1/add/count"})
		return err == nil && a.Status != 503 && a.Status != 504
	}, "%s does not answer", n.name)
	return a
}

// becomes has a node be of another release.
func (c *cluster) becomes(t testing.TB, n *node, release string) {
	t.Helper()
	c.did("%s becomes %s", n.name, release)
	n.stop(t)
	n.fault = release
	c.start(t, n)
}

// nextRelease has one node after the other become of the next release, the leader last. As long as one is not, none takes what
// that one could not apply.
func nextRelease(t testing.TB, c *cluster, _ *rand.Rand) func() {
	leader := c.awaitLeader(t)
	for k, i := range append(c.others(leader), leader.index) {
		c.becomes(t, c.nodes[i], releaseNext)
		c.awaitReady(t)
		for _, n := range c.nodes {
			if n.fault != releaseNext || k == len(c.nodes)-1 {
				continue
			}
			if a := c.newKind(t, n); a.Status != 409 || a.Problem().Code != "cluster_level" || !strings.Contains(a.Body, "upgrade all members") {
				t.Errorf("%s, while others are of the release before: status %d, %s", n.name, a.Status, a.Body)
			}
		}
	}
	for _, n := range c.nodes {
		gate.Until(t, func() bool { return c.newKind(t, n).Status/100 == 2 }, "%s does not take the new kind, and all are of the next release", n.name)
	}
	return func() {}
}

// TestProofReleasesDiffer: a cluster is upgraded to a release whose commands the one before cannot apply, while clients
// work. It takes none of these before all nodes can apply them, and none of the old release afterwards.
func TestProofReleasesDiffer(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := newFaulty(t, 3, releaseBefore)
	h := newHistory(c, nemesis{name: "upgrade to another level", strike: nextRelease, lasts: time.Nanosecond, forgets: true}, gate.Seed(t))
	if h.run(t); t.Failed() {
		return
	}
	n := c.nodes[0]
	c.becomes(t, n, releaseBefore)
	gate.Until(t, func() bool { return !n.runs() }, "%s runs, of a release that cannot apply what the cluster logs", n.name)
	if !strings.Contains(n.out.String(), "later release") {
		t.Errorf("%s does not say that it needs a later release", n.name)
	}
	n.fault = releaseNext
	c.start(t, n)
	c.awaitReady(t)
	c.converge(t, "")
}

// TestProofHastyReleaseIsFound: if a release did not wait for the level of the cluster, the test above would see nodes end.
func TestProofHastyReleaseIsFound(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := newFaulty(t, 3, releaseBefore)
	others := c.others(c.awaitLeader(t))
	n := c.nodes[others[0]]
	c.becomes(t, n, releaseHasty)
	c.awaitReady(t)
	gate.Until(t, func() bool { c.change(t, "transfer", n.name); return n.leads() }, "%s does not lead", n.name)
	old := c.nodes[others[1]]
	go load.Of(t, at{n}, time.Second).Do(t.Context(), load.Call{Method: "POST", Path: "/v1/add/count"})
	gate.Until(t, func() bool { return !old.runs() }, "%s, of the release before, applies what it does not know", old.name)
}
