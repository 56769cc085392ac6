package lock

import (
	"context"
	"time"

	"keywatch/kv"
)

const (
	// renewals is how often a place in a queue is kept alive in the time that it
	// would live.
	renewals = 3
	// cleanUp bounds giving a place back after the caller has left.
	cleanUp = 10 * time.Second
	// patience bounds each command on the way through the log.
	patience = 10 * time.Second
)

// A Request is for one lock.
type Request struct {
	// Name is that of the lock, see kv.LockName.
	Name string
	// TTL is how long the lock lives, once held, without being kept alive.
	TTL time.Duration
	// Wait is how long to wait for the lock if it is held; 0 not at all.
	Wait time.Duration
	// Owner says who asks, for others to read; up to kv.MaxOwner bytes.
	Owner string
	// Caller is for whom the lease counts.
	Caller string
	// Idem makes the request repeatable: the same one takes up the place or the
	// lock of the first, or fails with kv.LockLost.
	Idem   kv.Idem
	Fences []kv.Fence
	// Auth is kv.Command.Auth of the request. What is done for it later, such as keeping its
	// place alive and giving it back, needs no permission.
	Auth kv.Rev
	// Placed, if not nil, is called once with the lease that the request has:
	// before a wait begins, or before Acquire returns with the lock.
	Placed func(kv.LeaseID)
}

// Acquire asks for a lock and waits for it as long as the request says. The
// outcome is kv.Committed, with the lease and its fencing token in the result's
// Lease; kv.LockHeld, with the holder as Current; kv.LockLost if the lease ended
// meanwhile, or the request was made before and has lost what it had; or what any
// command with an idempotency key or fences can end with.
//
// It fails as kv.Store.Do does. If ctx ends first it fails with ctx's error: the
// place is given up then or, if the request has an idempotency key, stays as long
// as its lease lives, to be resumed by the same request; the result's Lease
// names it. The TTL of a lock that was waited for counts from when it was
// granted, not from the call.
func Acquire(ctx context.Context, store *kv.Store, q Request) (kv.Result, error) {
	c := &kv.LockCommand{
		Kind: kv.LockAcquire, Name: q.Name, ID: kv.NewLeaseID(), TTL: q.TTL,
		Owner: q.Owner, Caller: q.Caller,
	}
	if q.Wait > 0 {
		c.WaitTTL = kv.WaitTTL
	}
	r, err := do(ctx, store, &kv.Command{Idem: q.Idem, Fences: q.Fences, Lock: c, Auth: q.Auth})
	if err == nil && r.Lease != nil && q.Placed != nil {
		q.Placed(r.Lease.ID)
	}
	switch {
	case err == kv.ErrOutcomeUnknown && q.Idem.Key == "":
		abandon(ctx, store, c.ID) // no request will ask for it again
		return r, err
	case err != nil || r.Outcome != kv.LockQueued:
		return r, err
	case q.Wait == 0: // the first request for this place was ready to wait
		return giveUp(ctx, store, q, r)
	}
	return wait(ctx, store, q, r)
}

func do(ctx context.Context, store *kv.Store, c *kv.Command) (kv.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return store.Do(ctx, c)
}

// giveUp ends the wait of the place that r says. If that is not known to have
// worked the place runs out.
func giveUp(ctx context.Context, store *kv.Store, q Request, r kv.Result) (kv.Result, error) {
	return do(ctx, store, &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockGiveUp, Name: q.Name, ID: r.Lease.ID}})
}

// wait waits in the place that r says.
func wait(ctx context.Context, store *kv.Store, q Request, r kv.Result) (kv.Result, error) {
	id := r.Lease.ID
	timeUp := time.NewTimer(q.Wait)
	defer timeUp.Stop()
	renew := time.NewTicker(kv.WaitTTL / renewals)
	defer renew.Stop()
	state := store.State()
	over := state.Parked(id)
	for {
		select {
		case <-over:
			if next := store.State(); next != state { // it was replaced
				state, over = next, next.Parked(id)
				continue
			}
			return settle(store, r), nil
		case <-renew.C:
			// A renewal that fails, or comes when the wait is over, does no harm.
			kept, err := do(ctx, store, &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}})
			if err == nil && kept.Outcome == kv.LeaseEnded {
				r.Outcome, r.Lease = kv.LockLost, nil
				return r, nil
			}
			state = store.State()
			over = state.Parked(id)
		case <-timeUp.C:
			return giveUp(ctx, store, q, r)
		case <-ctx.Done():
			if q.Idem.Key == "" {
				abandon(ctx, store, id)
			}
			return r, ctx.Err()
		}
	}
}

// settle returns how the wait that r began has ended.
func settle(store *kv.Store, r kv.Result) kv.Result {
	info, ok := store.State().Lease(r.Lease.ID)
	out := kv.Result{
		Outcome: kv.LockLost, At: store.State().Position(), Time: store.State().Time(), Replayed: r.Replayed,
	}
	if ok && info.Token != 0 {
		out.Outcome, out.Rev, out.Lease = kv.Committed, info.Token, &info
	}
	return out
}

// abandon ends a lease whose request has ended. If it cannot be ended it
// runs out.
func abandon(ctx context.Context, store *kv.Store, id kv.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	_, _ = store.Revoke(ctx, id, kv.Idem{})
}
