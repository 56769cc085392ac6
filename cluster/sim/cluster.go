package sim

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/kv"
)

// Options configure a Cluster.
type Options struct {
	// Members is how many servers begin as voters; 0 for one that is alone, with a log from its
	// first entry on.
	Members int
	// NoPreVote and NoCheckQuorum are those of core.Options.
	NoPreVote, NoCheckQuorum bool
	// KeepTicking has a server whose disk hangs go on as if it did not.
	KeepTicking bool
	// Compare has each message compared, when it arrives, with what it was when it was sent.
	Compare bool
	// Record keeps what happens, for Steps.
	Record bool
	// Logger receives what Raft says; nil discards it.
	Logger *slog.Logger
}

// A Cluster is servers, what is between them, and judges. It is not safe for concurrent use, and
// nothing happens in it but by its methods. Once a judge has found something nothing more happens
// at all, and Err says what.
type Cluster struct {
	Count Counts
	opts  Options
	rng   *rand.Rand // nil while a test moves the cluster by hand
	nodes []*Node    // that with ID i is at i-1
	net   network
	judge judge
	trace trace
	err   error
	ops   uint64 // how many proposals and reads there were
	now   int64  // log time
}

// New returns a cluster whose servers run.
func New(o Options) *Cluster {
	c := &Cluster{opts: o, net: newNetwork()}
	c.trace.record = o.Record
	first := c.birth(o.Members)
	for range max(o.Members, 1) {
		n := c.add()
		n.disk.checkpoint, n.joins, n.member = first, false, true
		n.Start()
	}
	return c
}

// birth returns the checkpoint that several members begin with, nil for none.
func (c *Cluster) birth(members int) *checkpoint {
	if members == 0 {
		return nil
	}
	confState := new(raftpb.ConfState)
	for id := range uint64(members) {
		confState.Voters = append(confState.Voters, id+1)
	}
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Epoch: 1, Params: kv.Params{TombstoneMax: 2}})
	s := newState()
	if _, err := s.apply(core.Point{Index: 1, Term: 1}, b.Finish(0)); err != nil {
		panic(err)
	}
	c.judge.born(s, confState)
	return &checkpoint{s.at, confState, s.encode()}
}

// add adds a server that is down. It has nothing and waits for what others have.
func (c *Cluster) add() *Node {
	n := &Node{ID: uint64(len(c.nodes) + 1), c: c, joins: true, disk: newDisk()}
	c.nodes = append(c.nodes, n)
	return n
}

// Join adds a server, which has nothing and waits for what others have.
func (c *Cluster) Join() *Node {
	n := c.add()
	n.Start()
	return n
}

// Node returns the server with an ID.
func (c *Cluster) Node(id uint64) *Node { return c.nodes[id-1] }

// Leader returns the server that leads in the newest term, nil if none does.
func (c *Cluster) Leader() (leader *Node) {
	for _, n := range c.nodes {
		if n.Leads() && (leader == nil || n.core.Term() > leader.core.Term()) {
			leader = n
		}
	}
	return leader
}

// Err returns what a judge has found, nil if nothing.
func (c *Cluster) Err() error { return c.err }

// fail notes what a judge has found, and the step at which it did.
func (c *Cluster) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("step %d: %w", c.trace.step, fmt.Errorf(format, args...))
	}
}

// Settle has everything happen that is under way but what hangs, in order, until nothing is left.
func (c *Cluster) Settle() {
	for c.err == nil {
		moved := false
		for range c.net.flight {
			moved = c.Carry(0) || moved
		}
		for _, n := range c.nodes {
			for n.work() {
				moved = true
			}
		}
		if !moved {
			return
		}
	}
}

// Round is a tick of each server, and what follows from it.
func (c *Cluster) Round() {
	for _, n := range c.nodes {
		n.Tick()
	}
	c.Settle()
}

// Until has rounds pass until done, at most so many. It reports whether it is.
func (c *Cluster) Until(rounds int, done func() bool) bool {
	for range rounds {
		if done() || c.err != nil {
			return c.err == nil
		}
		c.Round()
	}
	return done()
}

// Even reports whether all members have applied the same entries, and all that was acknowledged.
func (c *Cluster) Even() bool {
	var applied []uint64
	for _, n := range c.nodes {
		if isMember(c.config(), n.ID) {
			applied = append(applied, n.Applied())
		}
	}
	return slices.Min(applied) == slices.Max(applied) && applied[0] >= c.judge.acknowledged
}

// Heal ends all that was broken: links that are cut, disks that hang, servers that are down.
func (c *Cluster) Heal() {
	c.net.heal()
	for _, n := range c.nodes {
		n.disk.hung = false
		n.Start()
	}
}
