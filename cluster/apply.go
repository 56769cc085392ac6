package cluster

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/kv"
)

// apply applies what is committed to the state, and answers those who wait for it.
func (n *Node) apply(entries []core.Committed) {
	l := &n.loop
	for i, e := range entries {
		at := core.Point{Index: e.GetIndex(), Term: e.GetTerm()}
		n.beginApply()
		results, err := n.applyOne(at, e.Entry)
		n.endApply(at.Index)
		if err != nil {
			n.lose(entries[i:])
			n.fail(fmt.Errorf("apply log entry %d: %w", at.Index, err))
			return
		}
		l.applied = at
		if !n.alone() {
			l.digests.note(at.Index, n.state().Digest)
		}
		if err := n.readRoster(); err != nil {
			n.lose(entries[i:])
			n.fail(fmt.Errorf("apply log entry %d: %w", at.Index, err))
			return
		}
		n.answer(e, results)
	}
	n.store.Applied(l.applied.Index)
	n.ticker.note(n.state().NextDeadline())
	n.releaseReads()
	n.refresh()
	if term := l.core.Term(); l.applied.Term == term && l.leading != term {
		n.takeLead()
	}
}

// answer tells those who wait for an entry what it did.
func (n *Node) answer(e core.Committed, results []kv.Result) {
	switch tag := e.Tag.(type) {
	case *batch:
		n.stats.entries.Add(1)
		n.stats.commands.Add(uint64(len(results)))
		n.landed(tag, results, nil)
		return
	case logged:
		n.stats.entries.Add(1)
		n.landedEntry()
	case rostered:
		n.landedRoster(tag, nil)
	}
	if n.alone() {
		return
	}
	n.groups, _ = kv.Groups(e.Data, n.groups[:0]) // the state has read them
	for _, g := range n.groups {
		if len(results) < g.Commands {
			break // the state had it before
		}
		if g.Origin == n.pending.origin {
			n.applied(g, results[:g.Commands])
		}
		results = results[g.Commands:]
	}
	n.passed(e.GetTerm())
}

// applyOne applies one entry. Those without commands only move the index.
func (n *Node) applyOne(at core.Point, e *raftpb.Entry) ([]kv.Result, error) {
	if e.GetType() == raftpb.EntryNormal && len(e.Data) > 0 {
		return n.state().Apply(at.Index, at.Term, e.Data)
	}
	n.state().Skip(at.Index, at.Term)
	if e.GetType() == raftpb.EntryNormal {
		return nil, nil
	}
	_, err := n.loop.core.ApplyMembers(e)
	return nil, err
}

// applyWork applies what is committed, or keeps it while the state before it is loaded.
func (n *Node) applyWork(w core.Work) {
	l := &n.loop
	if in := l.install; in != nil && in.loading {
		in.behind = append(in.behind, w)
		return
	}
	n.apply(w.Apply)
	l.core.Step(w.Applied)
	l.known.Store(l.applied.Index)
}
