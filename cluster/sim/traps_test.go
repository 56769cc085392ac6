package sim_test

import (
	"errors"
	"testing"
	"testing/cryptotest"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/cluster/sim"
	"keywatch/test/gate"
)

// timeouts is how many rounds several elections take.
const timeouts = 6 * core.ElectionTicks

// begin returns a cluster that the test moves by hand. Judges look on until the test ends.
func begin(t *testing.T, o sim.Options) *sim.Cluster {
	t.Helper()
	cryptotest.SetGlobalRandom(t, gate.Seed(t))
	c := sim.New(o)
	t.Cleanup(func() {
		if err := c.Err(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// lead has a server of a cluster lead.
func lead(t *testing.T, c *sim.Cluster, id uint64) *sim.Node {
	t.Helper()
	n := c.Node(id)
	for range timeouts {
		if n.Leads() && c.Leader() == n {
			return n
		}
		n.Campaign()
		c.Round()
	}
	t.Fatalf("server %d does not lead: %v", id, c.Err())
	return nil
}

// succeed has a server lead after the one that leads now, which is killed.
func succeed(t *testing.T, c *sim.Cluster, id uint64) *sim.Node {
	t.Helper()
	old := c.Leader()
	old.Kill()
	defer func() {
		old.Start()
		c.Until(timeouts, c.Even)
	}()
	return lead(t, c, id)
}

// put has a server propose that a key gets a value.
func put(t *testing.T, n *sim.Node) *sim.Proposal {
	t.Helper()
	p, err := n.Put(0)
	if err != nil {
		t.Fatalf("server %d: %v", n.ID, err)
	}
	return p
}

// commit has a server propose n values, and waits until it has applied them.
func commit(t *testing.T, c *sim.Cluster, n *sim.Node, values int) {
	t.Helper()
	for range values {
		p := put(t, n)
		if c.Until(timeouts, p.Answered); !p.Answered() {
			t.Fatalf("server %d does not commit: %v", n.ID, c.Err())
		}
	}
}

// members has the leader change members of one kind, and waits until all have applied that.
func members(t *testing.T, c *sim.Cluster, kind raftpb.ConfChangeType, ids ...uint64) {
	t.Helper()
	l := c.Leader()
	err := l.Change(sim.Each(kind, ids...)...)
	if errors.Is(err, core.ErrNoCheckpoint) {
		c.Settle() // a checkpoint was ordered
		l.Compact(0)
		err = l.Change(sim.Each(kind, ids...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Settle()
	commit(t, c, l, 1)
	c.Until(timeouts, func() bool { return c.Even() })
}

// grow has n servers join as voters, by as many changes.
func grow(t *testing.T, c *sim.Cluster, n int) {
	t.Helper()
	for range n {
		members(t, c, raftpb.ConfChangeAddNode, c.Join().ID)
	}
}

// commitKept grows three voters to five. One of them loses power, and has its log when it is
// back; together with another it is cut off from the three that are left.
func commitKept(t *testing.T, c *sim.Cluster) {
	lead(t, c, 1)
	grow(t, c, 2)
	c.Split(2, 3)
	c.Node(3).PowerCut(0)
	c.Node(3).Start()
	c.Until(timeouts, func() bool { return c.Node(3).Leads() })
}

// A server that did not know any more how many there are would lead the three of before, while the
// others go on: two leaders, and what each of them acknowledges.
func TestCommitKept(t *testing.T) {
	c := begin(t, sim.Options{Members: 3})
	commitKept(t, c)
	if c.Node(3).Leads() {
		t.Error("two of five have a leader")
	}
	commit(t, c, c.Leader(), 1)
	c.Heal()
	if !c.Until(timeouts, c.Even) {
		t.Error("they do not come together again")
	}
}

// joinByLog grows a store that has its log from the first entry on to three voters, and then to
// five. Those that joined last are cut off.
func joinByLog(t *testing.T, c *sim.Cluster) {
	commit(t, c, lead(t, c, 1), 3)
	grow(t, c, 4)
	c.Split(4, 5)
	c.Until(timeouts, func() bool { return c.Node(4).Leads() || c.Node(5).Leads() })
}

// A newcomer that had the log from its first entry on would not know who was there at the
// beginning: those that joined would elect one of themselves.
func TestJoinByLog(t *testing.T) {
	c := begin(t, sim.Options{})
	joinByLog(t, c)
	if c.Node(4).Leads() || c.Node(5).Leads() {
		t.Error("two of five have a leader")
	}
	commit(t, c, c.Leader(), 1)
}

// If a change of members were taken while the log begins with its first entry, who joins would get
// the log.
func TestNobodyJoinsWithoutCheckpoint(t *testing.T) {
	c := begin(t, sim.Options{})
	l := lead(t, c, 1)
	if err := l.Change(sim.Each(raftpb.ConfChangeAddLearnerNode, 2)...); err != core.ErrNoCheckpoint {
		t.Errorf("got %v, want %v", err, core.ErrNoCheckpoint)
	}
}

// A server whose log begins before its checkpoint must start, whatever it has kept of what is
// committed: Raft panics where it has applied more than that.
func TestStartWithCheckpointAndWholeLog(t *testing.T) {
	for _, members := range []int{0, 3} {
		c := begin(t, sim.Options{Members: members})
		n := lead(t, c, 1)
		commit(t, c, n, 20)
		for range 2 {
			n.Checkpoint()
		}
		for range 2 {
			n.PowerCut(0)
			n.Start()
			c.Settle()
			commit(t, c, lead(t, c, 1), 3)
		}
	}
}

// Servers share no memory, so a message must not change after it was sent, nor what was applied
// with the buffer of who proposed it: entries are in Raft, storage, messages and appliers at once.
func TestNothingIsShared(t *testing.T) {
	seed := gate.Seed(t)
	for i := range uint64(20) {
		if _, err := tell(t, seed+i, sim.Options{Compare: true}); err != nil {
			t.Fatalf("%s=%d: %v", gate.SeedEnv, seed+i, err)
		}
	}
}

// A leader whose disk hangs must not keep the others from having one that writes: it would lead on,
// and not answer those who ask it.
func TestLeaderWhoseDiskHangs(t *testing.T) {
	for _, on := range []bool{true, false} {
		c := begin(t, sim.Options{Members: 3, KeepTicking: on})
		old := lead(t, c, 1)
		old.Hang(true)
		p := put(t, old)
		other := func() bool { return c.Leader() != nil && c.Leader() != old }
		if got := c.Until(3*timeouts, other); got == on {
			t.Fatalf("ticks go on: %v: another leads: %v", on, got)
		}
		if p.Answered() {
			t.Error("an answer without the disk")
		}
		if on {
			continue // what is to be seen with ticks withheld shows without
		}
		commit(t, c, c.Leader(), 1)
		old.Hang(false)
		if !c.Until(timeouts, func() bool { return c.Even() && p.Answered() }) {
			t.Error("its proposal, which the others have, has no answer")
		}
	}
}
