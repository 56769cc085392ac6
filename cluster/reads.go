package cluster

import (
	"context"
	"errors"
	"time"

	"keywatch/cluster/core"
	"keywatch/kv"
)

// readRepeat is how long a round of reads waits before it is begun again: Raft may lose one
// without a word.
const readRepeat = 500 * time.Millisecond

// reads are the reads that wait to be linearizable. One round is under way, and those that come
// meanwhile share the next: what a round asks for was acknowledged before it began.
type reads struct {
	// id is that of the round, which rises. It begins at random: Raft tells the rounds of all
	// servers apart by it, and those of the processes that they were before.
	id    uint64
	since time.Time
	round []readDone // who is in it
	next  []readDone
	// confirmed wait for the state to reach an index.
	confirmed []confirmed
}

type confirmed struct {
	index uint64
	round []readDone
}

// A readDone tells a read that it may look at the state, or why not. It never waits.
type readDone func(error)

// ReadBarrier implements kv.Log. The state of a server that is alone shows all that was
// acknowledged, so that there is nothing to wait for; others ask the leader, at most until ctx
// ends.
func (n *Node) ReadBarrier(ctx context.Context) error {
	if n.alone() {
		return n.Ready()
	}
	if err := n.Ready(); errors.Is(err, kv.ErrNoLeader) {
		return err
	}
	done := make(chan error, 1)
	if !n.loop.ask(func() { n.joinReads(func(err error) { done <- err }) }) {
		return kv.ErrStopping
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return kv.ErrNoLeader
	}
}

// ReadBarrierNow implements kv.Prompt.
func (n *Node) ReadBarrierNow() error {
	if n.alone() {
		return n.Ready()
	}
	return kv.ErrWouldWait
}

// BeginReadBarrier implements kv.BarrierBeginner.
func (n *Node) BeginReadBarrier(w kv.Waker) *kv.Barrier {
	b := kv.NewBarrier(w)
	if err := n.Ready(); errors.Is(err, kv.ErrNoLeader) {
		b.Finish(err)
	} else if !n.loop.ask(func() { n.joinReads(b.Finish) }) {
		b.Finish(kv.ErrStopping)
	}
	return b
}

// joinReads puts a read into the next round, and begins it if none is under way.
func (n *Node) joinReads(done readDone) {
	r := &n.reads
	if n.loop.dead != nil {
		done(kv.ErrNoLeader)
		return
	}
	n.stats.reads.Add(1)
	r.next = append(r.next, done)
	if len(r.round) == 0 {
		n.beginReads()
	}
}

// beginReads begins a round with those who wait.
func (n *Node) beginReads() {
	r := &n.reads
	r.round, r.next = append(r.round, r.next...), nil
	r.id++
	n.stats.rounds.Add(1)
	r.since = time.Now()
	n.loop.core.ReadIndex(r.id)
}

// repeatReads begins a round again that has had no answer.
func (n *Node) repeatReads() {
	if r := &n.reads; len(r.round) > 0 && time.Since(r.since) >= readRepeat {
		n.beginReads()
	}
}

// answerReads takes the answer to a round. That of an earlier one is dropped.
func (n *Node) answerReads(a core.Read) {
	r := &n.reads
	if a.ID != r.id || len(r.round) == 0 {
		return
	}
	r.confirmed = append(r.confirmed, confirmed{a.Index, r.round})
	r.round = nil
	n.releaseReads()
	if len(r.next) > 0 {
		n.beginReads()
	}
}

// releaseReads answers the reads that the state has reached.
func (n *Node) releaseReads() {
	r := &n.reads
	for len(r.confirmed) > 0 && r.confirmed[0].index <= n.loop.applied.Index {
		answer(r.confirmed[0].round, nil)
		r.confirmed = r.confirmed[1:]
	}
}

// failReads answers all reads that wait with an error.
func (n *Node) failReads(err error) {
	r := &n.reads
	for _, c := range r.confirmed {
		answer(c.round, err)
	}
	answer(r.round, err)
	answer(r.next, err)
	n.reads = reads{id: r.id}
}

func answer(round []readDone, err error) {
	for _, done := range round {
		done(err)
	}
}
