package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"time"

	"keywatch/kv"
)

const (
	// maxPending and maxPendingBytes bound what a node has handed to the leader and does not
	// know the fate of.
	maxPending      = 64
	maxPendingBytes = 8 << 20
	// resendAfter is how long the leader may be silent about a batch until it is sent again:
	// a link may lose frames.
	resendAfter = 200 * time.Millisecond
	// patience is how long a batch waits for a leader.
	patience = 8 * time.Second
)

// pending are the batches of a node with other members whose fate is not known, oldest first. The
// node answers who waits for one when it has applied it itself: so its state and its watches are
// where the answer says. A batch is lost once an entry of a later term was applied without it, and
// is then sent again, before any newer one.
type pending struct {
	origin uint64 // of this process, random
	seq    uint64 // of the newest
	list   []*outgoing
	bytes  int
}

// An outgoing is one of them.
type outgoing struct {
	*batch
	group kv.Group
	body  []byte
	born  time.Time
	// term is the one in which it was handed to the leader, 0 if it was in none that still
	// counts. sent is when.
	term uint64
	sent time.Time
	// taken says that the leader has it.
	taken bool
}

func newOrigin() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// full reports whether no more may be added.
func (p *pending) full() bool { return len(p.list) >= maxPending || p.bytes >= maxPendingBytes }

// add appends a batch.
func (p *pending) add(b *batch, now time.Time) {
	p.seq++
	o := &outgoing{batch: b, group: kv.Group{Origin: p.origin, Seq: p.seq, Commands: b.builder.Len(), Form: b.builder.Form()}, born: now}
	o.body = slices.Clone(b.builder.Commands())
	p.bytes += len(o.body)
	p.list = append(p.list, o)
}

// pop removes the oldest.
func (p *pending) pop() *outgoing {
	o := p.list[0]
	p.list[0] = nil
	p.list = p.list[1:]
	p.bytes -= len(o.body)
	return o
}

// find returns the place of a number, -1 if it is none of them.
func (p *pending) find(seq uint64) int {
	return slices.IndexFunc(p.list, func(o *outgoing) bool { return o.group.Seq == seq })
}

// remove removes one.
func (p *pending) remove(i int) *outgoing {
	o := p.list[i]
	p.bytes -= len(o.body)
	p.list = slices.Delete(p.list, i, i+1)
	return o
}

// applied takes the results of a group of this process. Those before it that are still there were
// refused, and the word of it was lost: the leader takes them in order.
func (n *Node) applied(g kv.Group, results []kv.Result) {
	p := &n.pending
	for len(p.list) > 0 && p.list[0].group.Seq < g.Seq {
		n.landed(p.pop().batch, nil, kv.ErrNoLeader)
	}
	if len(p.list) > 0 && p.list[0].group.Seq == g.Seq {
		n.stats.commands.Add(uint64(len(results)))
		n.landed(p.pop().batch, results, nil)
	}
}

// passed notes that an entry of a term was applied: what was handed over in an earlier one is
// lost, but for the groups of that entry, which were taken before.
func (n *Node) passed(term uint64) {
	for _, o := range n.pending.list {
		if o.term != 0 && o.term < term {
			o.term, o.taken = 0, false
			n.stats.lost.Add(1)
		}
	}
}

// giveUpOld tells those who have waited long for a leader that their batch was not applied.
func (n *Node) giveUpOld(now time.Time) {
	p := &n.pending
	for i := 0; i < len(p.list); {
		if o := p.list[i]; o.term == 0 && now.Sub(o.born) > patience {
			n.landed(p.remove(i).batch, nil, kv.ErrNoLeader)
		} else {
			i++
		}
	}
}

// abandon tells all who wait what is known when the node ends.
func (n *Node) abandon() {
	p := &n.pending
	for len(p.list) > 0 {
		o, err := p.pop(), kv.ErrOutcomeUnknown
		if o.term == 0 {
			err = kv.ErrNoLeader
		}
		n.landed(o.batch, nil, err)
	}
}
