package sim

import (
	"fmt"
	"strings"
)

// A trace is what has happened: always as a number, and as lines if they are kept.
type trace struct {
	step   int
	hash   uint64
	record bool
	lines  []string
}

// did notes a step and whom it concerns.
func (c *Cluster) did(what string, a, b uint64) {
	t := &c.trace
	t.step++
	for _, x := range [...]uint64{uint64(len(what)), uint64(what[0]), a, b} {
		t.hash = (t.hash ^ x) * 0x100000001b3
	}
	if t.record {
		t.lines = append(t.lines, fmt.Sprintf("%6d %-12s %d %d", t.step, what, a, b))
	}
}

// detail adds to the newest line.
func (c *Cluster) detail(say func() string) {
	if t := &c.trace; t.record && len(t.lines) > 0 {
		t.lines[len(t.lines)-1] += "  " + say()
	}
}

// Steps returns what has happened, a line a step, if Options.Record is set.
func (c *Cluster) Steps() []string { return c.trace.lines }

// Hash returns a number for all that has happened: histories that are equal have the same.
func (c *Cluster) Hash() uint64 {
	h := c.trace.hash
	for _, n := range c.nodes {
		if n.state != nil {
			h = (h ^ n.state.digest) * 0x100000001b3
		}
	}
	return h
}

// A Kind is something that histories have.
type Kind int

// The kinds.
const (
	Commits Kind = iota
	Answers
	Reads
	Elections
	PowerCuts
	Kills
	Restarts
	Cuts
	Drops
	Repeats
	Hangs
	Checkpoints
	Compactions
	Installs
	MemberChanges
	JointChanges
	Removals
	LostProposals
	Notices
	Transfers
	kinds
)

var kindNames = [kinds]string{
	"commits", "answers", "reads", "elections", "powercuts", "kills", "restarts", "cuts", "drops", "repeats", "hangs",
	"checkpoints", "compactions", "installs", "changes", "joint", "removals", "lost",
	"notices", "transfers",
}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Counts are how often each kind was.
type Counts [kinds]int

// Add adds others.
func (c *Counts) Add(o Counts) {
	for i := range c {
		c[i] += o[i]
	}
}

// String returns all counts with their names.
func (c *Counts) String() string {
	var list []string
	for i, n := range c {
		list = append(list, fmt.Sprint(n, " ", Kind(i)))
	}
	return strings.Join(list, ", ")
}

// Missing returns the kinds that never were.
func (c *Counts) Missing() (list []Kind) {
	for i, n := range c {
		if n == 0 {
			list = append(list, Kind(i))
		}
	}
	return list
}
