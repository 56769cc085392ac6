package sim

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/kv"
)

// A Proposal is one of a server. It is its own tag.
type Proposal struct {
	id   uint64
	data string
	fate fate
	// index is where it was applied first, 0 for nowhere.
	index uint64
}

// Answered reports whether its server has applied it.
func (p *Proposal) Answered() bool { return p.fate == answered }

// Lost reports whether its server was told that it never will be applied.
func (p *Proposal) Lost() bool { return p.fate == lost }

// Unknown reports whether its server was told that it may be applied, or not.
func (p *Proposal) Unknown() bool { return p.fate == unknown }

// A fate is what its proposer knows about a proposal.
type fate int

const (
	pending fate = iota
	answered
	lost
	unknown // its proposer is no more, or has got the state of another
)

// A Read is a question to one server. floor is what was answered before it began.
type Read struct {
	id, floor uint64
	key       int
	index     uint64 // of the answer to ReadIndex, 0 for none yet
	value     kv.Rev
	done      bool
}

// Done reports whether it has a value.
func (r *Read) Done() bool { return r.done }

// Propose has a server propose commands, if it leads.
func (n *Node) Propose(commands ...*kv.Command) (*Proposal, error) {
	if !n.Up() {
		return nil, errDown
	}
	c := n.c
	c.ops++
	o := &Proposal{id: c.ops}
	var b kv.EntryBuilder
	for _, x := range commands {
		b.Add(x)
	}
	b.Add(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "proposal", Value: fmt.Append(nil, o.id)}}})
	c.now++
	data := b.Finish(c.now)
	o.data = string(data)
	if err := n.core.Propose(o, data); err != nil {
		return nil, err
	}
	for i := range data {
		data[i] = 0xAA // the buffer is the proposer's again
	}
	c.did("propose", n.ID, o.id)
	c.judge.proposed(o)
	n.ready()
	return o, nil
}

// Put has a server propose that a key gets a value of its own.
func (n *Node) Put(key int) (*Proposal, error) {
	return n.Propose(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: keys[key], Value: fmt.Append(nil, n.c.ops)}}})
}

// Read asks a server for the value of a key.
func (n *Node) Read(key int) *Read {
	n.c.ops++
	r := &Read{id: n.c.ops, floor: n.c.judge.acknowledged, key: key}
	if n.Up() {
		n.c.did("read", n.ID, r.id)
		n.reads = append(n.reads, r)
		n.core.ReadIndex(r.id)
		n.ready()
	}
	return r
}

// answer answers the reads that have waited for what is applied now.
func (n *Node) answer() {
	left := n.reads[:0]
	for _, r := range n.reads {
		if r.index == 0 || r.index > n.state.at.Index {
			left = append(left, r)
			continue
		}
		r.value, r.done = n.state.revision(r.key), true
		n.c.judge.answered(n, r)
	}
	clear(n.reads[len(left):])
	n.reads = left
}

// Change has a server propose a change of members, if it leads. Where the log has no checkpoint
// before it one is ordered.
func (n *Node) Change(changes ...*raftpb.ConfChangeSingle) error {
	if !n.Up() {
		return errDown
	}
	err := n.core.ProposeMembers(&raftpb.ConfChangeV2{Changes: changes})
	if err == core.ErrNoCheckpoint {
		n.ordered = true
	}
	if err == nil {
		n.c.did("change", n.ID, uint64(len(changes)))
		n.c.detail(func() string { return fmt.Sprint(changes) })
		n.ready()
	}
	return err
}
