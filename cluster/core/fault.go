package core

// A fault is a mistake that a build with the tag keywatchfault can make, so that it shows whether
// the simulation finds it.
type fault string

// The faults.
const (
	// earlyAnswer answers before what the answer depends on is durable.
	earlyAnswer fault = "an answer before the fsync"
	// forgottenVote writes the term without the vote.
	forgottenVote fault = "a forgotten vote"
	// staleRead answers reads from what the leader has applied, without asking others.
	staleRead fault = "a stale read index"
	// lostCommit does not keep that a change of members is committed.
	lostCommit fault = "a commit index that is not kept"
	// joinByLog lets a newcomer have the log from its first entry.
	joinByLog fault = "a join by the log"
)
