package core

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// A fault is a mistake that a build with the tag keywatchfault can make, so that it shows whether
// the simulation finds it.
type fault string

// The faults.
const (
	// earlyAnswer answers before what the answer depends on is durable.
	earlyAnswer fault = "an answer before the fsync"
	// forgottenVote writes the term without the vote.
	forgottenVote fault = "a forgotten vote"
	// staleRead answers reads from what the server has applied, without asking others.
	staleRead fault = "a stale read index"
	// lostCommit does not keep what is committed: after a start a server has the members of its
	// checkpoint, however often they have changed since.
	lostCommit fault = "a commit index that is not kept"
	// joinByLog lets a newcomer have the log from its first entry.
	joinByLog fault = "a join by the log"
	// forgottenReport does not tell Raft of a snapshot that has not arrived.
	forgottenReport fault = "a forgotten report"
)

// answerEarly gives the answers that wait for writes, but for what tells Raft itself what it can
// read from its storage.
func (c *Core) answerEarly(w *Work) {
	for i := range w.Writes {
		x := &w.Writes[i]
		stored := func(m *raftpb.Message) bool { return m.GetType() == raftpb.MsgStorageAppendResp }
		early := slices.DeleteFunc(slices.Clone(x.responses), stored)
		x.responses = slices.DeleteFunc(slices.Clone(x.responses), func(m *raftpb.Message) bool { return !stored(m) })
		w.Send = append(w.Send, c.Deliver(Write{responses: early})...)
	}
}
