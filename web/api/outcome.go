package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"keywatch/auth"
	"keywatch/kv"
)

// idemRetry is what a caller is told to wait where only time helps.
const idemRetry = 10 * time.Second

// Outcome returns the failure that result, which c came to, is answered with; nil
// if c ran. params are those of the state and are asked only if they are needed.
// inBatch says that the caller wrote checks and operations as lists, so that
// their index means something to it.
func Outcome(c *kv.Command, result *kv.Result, params func() kv.Params, inBatch bool) error {
	if result.Outcome == kv.Committed || result.Outcome == kv.ElseRan {
		return nil
	}
	f := &Failure{Current: result.Current, NoValue: result.CurrentNoValue, Index: result.Failed, HasIndex: true}
	switch result.Outcome {
	case kv.CheckFailed:
		f.Code, f.Detail, f.Compared = CodeCheckFailed, "a check failed; nothing was changed", true
		f.Key = c.Checks[result.Failed].Key
		if !inBatch {
			f.Code, f.Detail, f.HasIndex = CodeCompareFailed, "the key does not have the expected version or value", false
		}
	case kv.FenceLost:
		f.Code, f.Lock = CodeFenceLost, c.Fences[result.Failed].Lock
		f.Key = kv.ReservedPrefix + f.Lock
		f.Detail = "the lock is not held with this token; nothing was changed"
	case kv.TooMany:
		return &Failure{Code: CodeBatchTooLarge, Detail: "more keys begin with the prefix than one request may delete: delete longer prefixes one by one, or raise --max-delete", Limit: params().DeleteMax}
	case kv.IdemMismatch:
		return Refuse(CodeIdempotencyMismatch, "the Idempotency-Key was used for a different request")
	case kv.IdemCallerFull:
		return &Failure{Code: CodeRateLimited, Detail: "too many requests with an Idempotency-Key are remembered for this caller: they expire after --idem-age, and --idem-per-caller and --idem-bytes bound them", Limit: params().IdemPerCaller, Retry: idemRetry}
	case kv.AuthMoved:
		return auth.ErrMoved
	case kv.IdemFull:
		return &Failure{Code: CodeMemoryFull, Detail: "too many requests with an Idempotency-Key are remembered: they expire after --idem-age, and --idem-max and --idem-bytes bound them", Limit: params().IdemMax, Retry: idemRetry}
	case kv.OpFailed:
		return sumFailure(result, inBatch)
	case kv.Stale:
		return FailureOf(kv.ErrContended)
	default:
		return leaseOutcome(c, result, params, inBatch)
	}
	return f
}

// sumFailure returns the failure of an add.
func sumFailure(result *kv.Result, inBatch bool) error {
	f := &Failure{Code: CodeNotANumber, Index: result.Failed, HasIndex: inBatch, Detail: result.Why.String() + "; nothing was changed"}
	if result.Why == kv.Overflow || result.Why == kv.NotFinite {
		f.Code = CodeNumberOverflow
	}
	return f
}

// leaseOutcome is Outcome for what has to do with leases and locks.
func leaseOutcome(c *kv.Command, result *kv.Result, params func() kv.Params, inBatch bool) error {
	f := &Failure{Current: result.Current, NoValue: result.CurrentNoValue}
	if c.Lock != nil {
		f.Lock, f.Key = strings.Clone(c.Lock.Name), kv.LockKey(c.Lock.Name)
	}
	switch result.Outcome {
	case kv.LeaseEnded:
		if c.Lease != nil {
			return LeaseNotFound(c.Lease.ID.String())
		}
		f.Code, f.Detail = CodeLeaseEnded, "a lease in the request does not exist or has expired; nothing was changed"
		f.Index, f.HasIndex = result.Failed, inBatch
	case kv.LeaseFull:
		return &Failure{Code: CodeMemoryFull, Detail: "too many leases: let some expire, revoke them, or raise --lease-max", Limit: params().LeaseMax, Retry: idemRetry}
	case kv.LeaseCallerFull:
		return &Failure{Code: CodeRateLimited, Detail: "this caller has too many leases: let some expire, revoke them, or raise --lease-per-caller", Limit: params().LeasePerCaller, Retry: idemRetry}
	case kv.LeaseKeysFull:
		return &Failure{Code: CodeBatchTooLarge, Detail: "too many keys would be attached to one lease: use a second lease, or raise --lease-keys", Limit: params().LeaseKeys, Index: result.Failed, HasIndex: inBatch}
	case kv.LockHeld:
		f.Code, f.Detail = CodeLockHeld, "the lock is held by another client; the wait has ended"
	case kv.LockLost:
		f.Code, f.Detail = CodeLockLost, "the lock is no longer held with this token or by this request"
	case kv.LockFree:
		return Refuse(CodeLockNotHeld, "lock %s is not held", c.Lock.Name)
	default:
		return nil
	}
	return f
}

// WithLimit adds to err the bound, one of limits, that err says was exceeded.
func WithLimit(err error, limits kv.Limits) error {
	f := FailureOf(err)
	switch f.Code {
	case CodeValueTooLarge:
		f.Limit = limits.Value
	case CodeBatchTooLarge:
		f.Limit = limits.Command
	}
	return f
}

// ReadError tells a read that was given up from a write whose fate is unknown.
func ReadError(err error) error {
	if timedOut(err) {
		return &Failure{Code: CodeNoLeader, Detail: "the read could not be confirmed in time", Cause: err}
	}
	return err
}

// ColdError tells a local read that was given up from any other failure.
func ColdError(err error) error {
	if timedOut(err) {
		return fmt.Errorf("%w: %w", kv.ErrTierUnavailable, err)
	}
	return err
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
