package kv

// Outcome says what became of a command. It is a value, not an error: each was
// decided by the state at the command's place in the log.
type Outcome uint8

// The outcomes.
const (
	// Committed means that the checks held and Ops ran.
	Committed Outcome = iota + 1
	// ElseRan means that a check failed and Else ran.
	ElseRan
	// CheckFailed means that a check failed, there was no Else, and nothing ran.
	CheckFailed
	// FenceLost means that a fence did not hold and nothing ran.
	FenceLost
	// TooMany means that a prefix deletion would have removed more keys than
	// Params.DeleteMax, and nothing ran.
	TooMany
	// IdemMismatch means that the idempotency key was used for another request.
	IdemMismatch
	// IdemCallerFull means that the caller holds Params.IdemPerCaller records.
	IdemCallerFull
	// IdemFull means that Params.IdemMax records are held in all.
	IdemFull
)

// An OpResult is what one operation did.
type OpResult struct {
	// Entry is the new version for a put, the version found for a get, nil for
	// a get or delete that found nothing, the tombstone for a delete. In a
	// replayed result its value may be missing: see NoValue.
	Entry *Entry
	// NoValue is set in a replayed result where the value is no longer known.
	NoValue bool
}

// A Result is what became of a command.
type Result struct {
	Outcome Outcome
	// Rev is the revision that the command took; 0 if it changed nothing.
	Rev Rev
	// Failed is the index of the check or fence that failed.
	Failed int
	// Current is what stood at the failed check's key, or the fence's lock;
	// nil if nothing. CurrentNoValue is set in a replayed result where its value
	// is no longer known.
	Current        *Entry
	CurrentNoValue bool
	// Deleted counts the keys that a prefix deletion removed.
	Deleted int
	// Referred counts the values that a Refer moved, ReferredBytes their bytes.
	Referred      int
	ReferredBytes int64
	// Ops has one result per operation that ran.
	Ops []OpResult
	// At is the position of the state that answers.
	At Position
	// Time is the log time, in milliseconds, at which it was applied.
	Time int64
	// Replayed is set when the result was kept from an earlier request with the
	// same idempotency key.
	Replayed bool
}
