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
	// LeaseEnded means that the lease named has ended or does not exist, and nothing
	// ran.
	LeaseEnded
	// LeaseFull means that Params.LeaseMax leases live in all.
	LeaseFull
	// LeaseCallerFull means that the caller has Params.LeasePerCaller leases.
	LeaseCallerFull
	// LeaseKeysFull means that more than Params.LeaseKeys keys would be attached to one
	// lease, and nothing ran.
	LeaseKeysFull
	// LockQueued means that the lock is held and the request has a place in its
	// queue: see State.Place.
	LockQueued
	// LockHeld means that the lock is held by Current and was not got.
	LockHeld
	// LockLost means that the lock is not held under the token, or that the
	// lease which had it, or waited for it, has ended.
	LockLost
	// LockFree means that the lock that was to be broken was not held.
	LockFree
	// OpFailed means that the operation Failed cannot be done, for Why, and nothing ran.
	OpFailed
	// Stale means that a Read of the command does not hold any more and nothing ran.
	// Store repeats such commands.
	Stale

	// PrivateFull means that a private command would exceed PrivateMax or PrivateBytesMax, and
	// nothing ran.
	PrivateFull Outcome = 0x7e
	// AuthMoved means that permissions were narrowed since the command was allowed, and nothing
	// ran: see Command.Auth.
	AuthMoved Outcome = 0x7f
)

// kept reports whether the outcome of a request with an idempotency key is kept:
// it went through the log and time alone does not change it.
func (o Outcome) kept() bool {
	return o <= FenceLost || o >= LockQueued && o < PrivateFull && o != Stale
}

// An OpResult is what one operation did.
type OpResult struct {
	// Entry is the new version for a put, add or touch, the version found for a get, nil
	// for a get, delete or touch that found nothing, the tombstone for a delete. In a
	// replayed result its value may be missing: see NoValue.
	Entry *Entry
	// NoValue is set in a replayed result where the value is no longer known.
	NoValue bool
	// Why, if not zero, says why an operation of a part changed nothing. Entry is nil then.
	Why OpError
}

// A PartResult is what became of a part.
type PartResult struct {
	// Outcome is Committed, ElseRan, CheckFailed, LeaseEnded or LeaseKeysFull.
	Outcome Outcome
	// Failed is the index of the check that failed, or of the operation whose lease has
	// ended, Current what stood at the check's key. Current may be without its value.
	Failed  int
	Current *Entry
	// Ops has one result per operation that ran.
	Ops []OpResult
}

// A Result is what became of a command.
type Result struct {
	Outcome Outcome
	// Replayed is set when the result was kept from an earlier request with the
	// same idempotency key.
	Replayed bool
	// CurrentNoValue is set in a replayed result where the value of Current is no
	// longer known.
	CurrentNoValue bool
	// Rev is the revision that the command took; 0 if it changed nothing.
	Rev Rev
	// Failed is the index of the check or fence that failed, or of the operation
	// whose lease has ended, or that cannot be done for Why.
	Failed int
	Why    OpError
	// Current is what stood at the failed check's key, or the fence's lock;
	// nil if nothing.
	Current *Entry
	// Deleted counts the keys that a prefix deletion or the end of a lease
	// removed.
	Deleted int
	// Lease is what the lease that was granted or renewed is, and that of a lock
	// that was asked for; else nil. It must not be changed.
	Lease *LeaseInfo
	// Referred counts the values that a Refer moved, ReferredBytes their bytes.
	Referred      int
	ReferredBytes int64
	// Ops has one result per operation that ran, Parts one per part.
	Ops   []OpResult
	Parts []PartResult
	// At is the position of the state that answers.
	At Position
	// Time is the log time, in milliseconds, at which it was applied.
	Time int64
}
