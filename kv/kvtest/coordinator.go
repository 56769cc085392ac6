package kvtest

import (
	"context"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
)

// A Coordinator is a Store that has leases and locks, as CoordinatorSuite tests
// it.
type Coordinator interface {
	Store
	// Grant begins a lease.
	Grant(ctx context.Context, ttl time.Duration) (kv.LeaseID, error)
	// KeepAlive and Revoke renew a lease and end it. The outcome is Committed or
	// LeaseEnded.
	KeepAlive(ctx context.Context, id kv.LeaseID) (kv.Outcome, error)
	Revoke(ctx context.Context, id kv.LeaseID) (kv.Outcome, error)
	// Lives reports whether a lease has not ended.
	Lives(ctx context.Context, id kv.LeaseID) (bool, error)
	// Acquire asks for a lock and waits as long as q says.
	Acquire(ctx context.Context, q lock.Request) (Held, error)
	// KeepLock and Unlock renew a lock and release it. The outcome is Committed
	// or LockLost.
	KeepLock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error)
	Unlock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error)
	// Break takes a lock from its holder. The outcome is Committed or LockFree.
	Break(ctx context.Context, name string) (kv.Outcome, error)
	// Queue returns what those who wait for a lock say of themselves, in order.
	Queue(ctx context.Context, name string) ([]string, error)
}

// Held is what became of a request for a lock.
type Held struct {
	// Outcome is Committed, LockHeld or LockLost.
	Outcome kv.Outcome
	// Token and Lease are set if the lock was got.
	Token kv.Rev
	Lease kv.LeaseID
}

// Outcomes are what the codes of answers over a wire stand for.
var Outcomes = map[string]kv.Outcome{
	"check_failed": kv.CheckFailed, "fence_lost": kv.FenceLost, "idempotency_mismatch": kv.IdemMismatch,
	"lease_ended": kv.LeaseEnded, "lease_not_found": kv.LeaseEnded,
	"not_a_number": kv.OpFailed, "number_overflow": kv.OpFailed,
	"lock_held": kv.LockHeld, "lock_lost": kv.LockLost, "lock_not_held": kv.LockFree,
}

// Refusals are the codes that stand for what kv.Command.Validate fails with.
var Refusals = map[string]error{
	"bad_key": kv.ErrBadKey, "reserved_key": kv.ErrReservedKey, "value_too_large": kv.ErrValueTooLarge,
	"batch_too_large": kv.ErrBatchTooLarge, "duplicate_key": kv.ErrDuplicateKey, "bad_duration": kv.ErrBadTTL,
}

// A Passer is a Coordinator whose time passes only when it is told to.
type Passer interface {
	Pass(time.Duration) error
}

// Coordinate returns store as CoordinatorSuite sees it.
func Coordinate(store *kv.Store) Coordinator { return wrapped{store} }

func (w wrapped) Grant(ctx context.Context, ttl time.Duration) (id kv.LeaseID, err error) {
	r, err := w.Store.Grant(ctx, "", ttl, kv.Idem{})
	if r.Lease != nil {
		id = r.Lease.ID
	}
	return id, err
}

func (w wrapped) KeepAlive(ctx context.Context, id kv.LeaseID) (kv.Outcome, error) {
	r, err := w.Store.KeepAlive(ctx, id)
	return r.Outcome, err
}

func (w wrapped) Revoke(ctx context.Context, id kv.LeaseID) (kv.Outcome, error) {
	r, err := w.Store.Revoke(ctx, id, kv.Idem{})
	return r.Outcome, err
}

func (w wrapped) Lives(ctx context.Context, id kv.LeaseID) (bool, error) {
	_, lives, err := w.Store.Lease(ctx, id)
	return lives, err
}

func (w wrapped) Acquire(ctx context.Context, q lock.Request) (h Held, err error) {
	r, err := lock.Acquire(ctx, w.Store, q)
	if h.Outcome = r.Outcome; r.Outcome == kv.Committed {
		h.Token, h.Lease = r.Lease.Token, r.Lease.ID
	}
	return h, err
}

func (w wrapped) KeepLock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error) {
	r, err := w.Store.KeepLock(ctx, name, token)
	return r.Outcome, err
}

func (w wrapped) Unlock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error) {
	r, err := w.Store.Unlock(ctx, name, token, kv.Idem{})
	return r.Outcome, err
}

func (w wrapped) Break(ctx context.Context, name string) (kv.Outcome, error) {
	r, err := w.Store.Break(ctx, name, kv.Idem{})
	return r.Outcome, err
}

func (w wrapped) Queue(ctx context.Context, name string) (owners []string, err error) {
	if err := w.Barrier(ctx); err != nil {
		return nil, err
	}
	for _, p := range w.State().Lock(name, 1000).Queue {
		owners = append(owners, p.Owner)
	}
	return owners, nil
}
