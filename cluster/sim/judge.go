package sim

import (
	"bytes"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"keywatch/cluster/core"
	"keywatch/kv"
)

// digestEvery is at how many entries the whole states of servers are compared.
const digestEvery = 16

// A judge knows all that was ever committed, leading and answered, and looks on.
type judge struct {
	log     []record // that at index i is at i-1
	leaders map[uint64]led
	ops     map[string]*Proposal // by data
	config  *raftpb.ConfState
	latest  uint64 // the index of the newest change of members
	// acknowledged is the newest index that a client was told of.
	acknowledged uint64
}

// A led is who leads a term, in which of its lives.
type led struct {
	id   uint64
	life int
}

// A record is an entry as the first server has applied it, and what its state was then.
type record struct {
	term      uint64
	kind      raftpb.EntryType
	data      string
	digest    uint64
	revisions [len(keys)]kv.Rev
	state     []byte            // nil for none
	config    *raftpb.ConfState // nil for none
}

// born notes the state that servers begin with.
func (j *judge) born(s *state, members *raftpb.ConfState) {
	j.config = members
	j.at(s.at.Index).digest = s.digest
}

// at returns the record at an index.
func (j *judge) at(index uint64) *record {
	for uint64(len(j.log)) < index {
		j.log = append(j.log, record{})
	}
	return &j.log[index-1]
}

// leader judges that each term has one leader.
func (j *judge) leader(n *Node) {
	term := n.core.Term()
	if term == 0 || term == n.term {
		return
	}
	n.term = term
	if j.leaders == nil {
		j.leaders = make(map[uint64]led)
	}
	n.c.Count[Elections]++
	n.c.did("leads", n.ID, term)
	if other, ok := j.leaders[term]; ok && other != (led{n.ID, n.life}) {
		n.c.fail("servers %d and %d lead in term %d", other.id, n.ID, term)
	}
	j.leaders[term] = led{n.ID, n.life}
}

// inOrder judges that entries are applied once and in order.
func (j *judge) inOrder(n *Node, e core.Committed) bool {
	if last := n.state.at.Index; e.GetIndex() != last+1 {
		n.c.fail("server %d applies entry %d after %d", n.ID, e.GetIndex(), last)
	}
	return n.c.err == nil
}

// applied judges an entry that was applied.
func (j *judge) applied(n *Node, e core.Committed) {
	r := j.at(e.GetIndex())
	if r.term == 0 {
		j.first(n, e, r)
	}
	s := n.state
	switch {
	case r.term != e.GetTerm() || r.kind != e.GetType() || r.data != string(e.Data):
		n.c.fail("entry %d at server %d is %v, elsewhere it is of term %d with %q", e.GetIndex(), n.ID, e.Entry, r.term, r.data)
	case r.digest != s.digest:
		n.c.fail("the digest of server %d at entry %d is %x, elsewhere it is %x", n.ID, e.GetIndex(), s.digest, r.digest)
	case e.GetIndex()%digestEvery == 0:
		j.whole(n, r)
	}
	if e.Tag != nil {
		j.answer(n, e.Tag.(*Proposal), e)
	}
	n.answer()
}

// first notes an entry that no server has applied before.
func (j *judge) first(n *Node, e core.Committed, r *record) {
	n.c.Count[Commits]++
	*r = record{
		term: e.GetTerm(), kind: e.GetType(), data: string(e.Data),
		digest: n.state.digest, revisions: n.state.revisions(), config: r.config,
	}
	if r.kind != raftpb.EntryNormal || r.data == "" {
		return
	}
	switch o := j.ops[r.data]; {
	case o == nil:
		n.c.fail("server %d applies %q at entry %d, which no server has proposed", n.ID, r.data, e.GetIndex())
	case o.fate == lost:
		n.c.fail("server %d applies proposal %d at entry %d, which was reported lost", n.ID, o.id, e.GetIndex())
	case o.index != 0:
		n.c.fail("proposal %d is at entries %d and %d", o.id, o.index, e.GetIndex())
	default:
		o.index = e.GetIndex()
	}
}

// whole judges that states are equal in all they have.
func (j *judge) whole(n *Node, r *record) {
	now := n.state.encode()
	if r.state == nil {
		r.state = now
	} else if !bytes.Equal(r.state, now) {
		n.c.fail("the state of server %d at entry %d is %q, elsewhere it is %q", n.ID, n.state.at.Index, now, r.state)
	}
}

// installed judges the state that a server has got from another.
func (j *judge) installed(n *Node, s *state) {
	if old := n.state.at.Index; s.at.Index <= old {
		n.c.fail("server %d goes back from %d to %d", n.ID, old, s.at.Index)
	}
	if r := j.at(s.at.Index); r.digest != s.digest {
		n.c.fail("server %d installs digest %x at entry %d, elsewhere it is %x", n.ID, s.digest, s.at.Index, r.digest)
	}
}

// proposed notes a proposal.
func (j *judge) proposed(o *Proposal) {
	if j.ops == nil {
		j.ops = make(map[string]*Proposal)
	}
	j.ops[o.data] = o
}

// answer judges that a proposal is answered once, for the entry that it is.
func (j *judge) answer(n *Node, o *Proposal, e core.Committed) {
	if o.fate != pending || o.data != string(e.Data) {
		n.c.fail("server %d answers proposal %d, which is %v, for entry %v", n.ID, o.id, o.fate, e.Entry)
	}
	n.c.Count[Answers]++
	o.fate = answered
	j.acknowledged = max(j.acknowledged, e.GetIndex())
}

// lost judges that what is reported lost was not applied.
func (j *judge) lost(n *Node, o *Proposal) {
	if o.fate != pending || o.index != 0 {
		n.c.fail("server %d reports proposal %d as lost, which is %v and at entry %d", n.ID, o.id, o.fate, o.index)
	}
	n.c.did("lost", n.ID, o.id)
	n.c.Count[LostProposals]++
	o.fate = lost
}

// unknown notes that no server will answer a proposal.
func (j *judge) unknown(o *Proposal) { o.fate = unknown }

// read judges an answer to ReadIndex.
func (j *judge) read(n *Node, answer core.Read) {
	for _, r := range n.reads {
		if r.id != answer.ID {
			continue
		}
		if answer.Index < r.floor {
			n.c.fail("server %d reads at %d, and %d was acknowledged before", n.ID, answer.Index, r.floor)
		}
		if r.index == 0 {
			r.index = answer.Index
		}
		return
	}
}

// answered judges the value that a read has got.
func (j *judge) answered(n *Node, r *Read) {
	at := n.state.at.Index
	if want := j.at(at).revisions[r.key]; r.value != want || at < r.floor {
		n.c.fail("server %d reads revision %d of %s at entry %d, which has %d; %d was acknowledged before", n.ID, r.value, keys[r.key], at, want, r.floor)
	}
	n.c.Count[Reads]++
	j.acknowledged = max(j.acknowledged, at)
}

// changed judges that a change of members makes the same of them everywhere.
func (j *judge) changed(n *Node, index uint64, members *raftpb.ConfState) {
	r := j.at(index)
	if r.config == nil {
		r.config = members
		j.count(n, index, members)
	}
	if !proto.Equal(r.config, members) {
		n.c.fail("after entry %d the members are %v for server %d, elsewhere %v", index, members, n.ID, r.config)
	}
}

// count counts a change of members.
func (j *judge) count(n *Node, index uint64, members *raftpb.ConfState) {
	n.c.Count[MemberChanges]++
	n.c.did("members", n.ID, index)
	n.c.detail(func() string { return fmt.Sprint(members) })
	if len(members.VotersOutgoing) > 0 {
		n.c.Count[JointChanges]++
	}
	for _, x := range n.c.nodes {
		x.member = x.member || isMember(members, x.ID)
	}
	if index > j.latest {
		j.latest, j.config = index, members
	}
}

// String says what is known about a proposal.
func (f fate) String() string { return [...]string{"pending", "answered", "lost", "unknown"}[f] }
