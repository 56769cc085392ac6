package cluster

import (
	"time"

	"keywatch/kv"
)

// accepting is what a leader has taken of others in its term, and of itself.
type accepting struct {
	// origins has the newest number of each process that was accepted or refused.
	origins map[uint64]*taken
	// groups and bodies wait to be logged, oldest first; bytes is their size.
	groups []kv.Group
	bodies [][]byte
	bytes  int
	entry  []byte // buffer to build an entry in
}

// A taken is what a leader knows of one process.
type taken struct {
	last uint64
	// refused are the newest that were not logged, in case the word of it was lost.
	refused []answerFrame
}

// maxRefused is how many refusals a leader remembers for each process: as many as it can have
// under way.
const maxRefused = maxPending

// accept accepts a batch, or says why it is not logged. A batch that was accepted before is accepted
// once, one whose predecessor is missing is not accepted: its origin sends both again. The
// loop of the leader calls it.
func (n *Node) accept(f *commandsFrame) answerFrame {
	a := &n.accepting
	t := a.origins[f.group.Origin]
	if t == nil {
		t = new(taken)
		a.origins[f.group.Origin] = t
	}
	answer := answerFrame{term: f.term, origin: f.group.Origin, seq: t.last}
	if f.group.Seq <= t.last {
		for _, r := range t.refused {
			if r.seq == f.group.Seq {
				return r
			}
		}
		return answer
	}
	if f.prev > t.last {
		return answer
	}
	t.last, answer.seq = f.group.Seq, f.group.Seq
	if err := n.judge(f); err != nil {
		answer.code = refusalOf(err)
		if t.refused = append(t.refused, answer); len(t.refused) > maxRefused {
			t.refused = t.refused[1:]
		}
		return answer
	}
	a.groups = append(a.groups, f.group)
	a.bodies = append(a.bodies, f.body)
	a.bytes += len(f.body)
	return answer
}

// judge returns why a batch cannot be logged. Those of this process were judged where they came
// from.
func (n *Node) judge(f *commandsFrame) error {
	if n.accepting.bytes > n.opts.QueueBytes {
		return kv.ErrQueueFull
	}
	if err := n.room(); err != nil {
		return err
	}
	if f.group.Origin == n.pending.origin {
		return nil
	}
	form, err := kv.CheckCommands(f.body, f.group.Commands, n.opts.Limits)
	if f.group.Form = form; err != nil {
		n.opts.Logger.Error("commands of another server are refused", "origin", f.group.Origin, "err", err)
		return kv.ErrBadCommand
	}
	return nil
}

// logNext logs what was accepted, as much as fits into an entry, unless enough is under way.
func (n *Node) logNext() bool {
	l, a := &n.loop, &n.accepting
	if l.leading == 0 || l.logging >= maxFlying || len(a.groups) == 0 {
		return false
	}
	count, commands, bytes := 0, 0, 0
	for count < len(a.groups) && (count == 0 || commands+a.groups[count].Commands <= n.opts.EntryCommands && bytes+len(a.bodies[count]) <= n.opts.EntryBytes) {
		commands += a.groups[count].Commands
		bytes += len(a.bodies[count])
		count++
	}
	a.entry = kv.AppendGrouped(a.entry[:0], n.Now(), a.groups[:count], a.bodies[:count])
	if err := l.core.Propose(logged{}, a.entry); err != nil {
		return false // it is tried again, or what was accepted is lost and sent again
	}
	if l.logging++; l.logging == 1 {
		n.committing.begin(time.Now())
	}
	clear(a.bodies[:count])
	a.groups, a.bodies, a.bytes = a.groups[count:], a.bodies[count:], a.bytes-bytes
	if cap(a.entry) > spareSize {
		a.entry = nil
	}
	return true
}

// logged is the tag of an entry that this node has logged.
type logged struct{}

// landedEntry notes that an entry of this node was applied or is lost.
func (n *Node) landedEntry() {
	l := &n.loop
	if l.logging = max(0, l.logging-1); l.logging > 0 {
		n.committing.begin(time.Now())
		return
	}
	n.committing.end()
}

// beginAccepting forgets what was accepted in earlier terms.
func (n *Node) beginAccepting() {
	n.accepting = accepting{origins: make(map[uint64]*taken)}
	n.loop.logging = 0
	n.committing.end()
}
