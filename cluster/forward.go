package cluster

import (
	"time"
)

// forward takes batches from the queue and hands those that wait to the leader, in order. It does so
// once an entry of the leader's term was applied: only then is it known which batches of
// earlier terms are lost.
func (n *Node) forward() (any bool) {
	l, p := &n.loop, &n.pending
	now := time.Now()
	n.giveUpOld(now)
	for !p.full() {
		b := n.queue.take()
		if b == nil {
			break
		}
		p.add(b, now)
		n.queue.reuse(b.builder.Release())
		n.fly(b)
		any = true
	}
	term, leader := l.core.CurrentTerm(), l.core.Leader()
	if leader == 0 || l.applied.Term != term || leader == n.opts.ID && l.leading != term {
		return any
	}
	prev := uint64(0)
	for i := 0; i < len(p.list); i++ {
		o := p.list[i]
		if o.term != term || !o.taken && leader != n.opts.ID && now.Sub(o.sent) > resendAfter {
			if o.term == term {
				n.stats.resent.Add(1)
			} else if leader != n.opts.ID {
				n.stats.forwarded.Add(1)
			}
			o.term, o.sent = term, now
			n.handOver(leader, &commandsFrame{term, o.group, prev, o.body})
			any = true
		}
		prev = o.group.Seq
		if i < len(p.list) && p.list[i] != o { // it was refused
			i--
		}
	}
	return any
}

// handOver hands a batch to the leader, which may be this node.
func (n *Node) handOver(leader uint64, f *commandsFrame) {
	if leader != n.opts.ID {
		n.opts.Send(leader, Bulk, f.encode())
		return
	}
	if a := n.accept(f); a.code != 0 {
		n.answered(&a)
	}
}

// answered takes what the leader says about batches of this process.
func (n *Node) answered(f *answerFrame) {
	p := &n.pending
	if f.origin != p.origin || f.term != n.loop.core.CurrentTerm() {
		return
	}
	if f.code != 0 {
		if i := p.find(f.seq); i >= 0 && p.list[i].term == f.term {
			n.stats.refused.Add(1)
			n.landed(p.remove(i).batch, nil, f.code.err())
		}
		return
	}
	for _, o := range p.list {
		if o.group.Seq <= f.seq && o.term == f.term {
			o.taken = true
		}
	}
}
