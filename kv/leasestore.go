package kv

import (
	"context"
	"time"
)

// Grant begins a lease of ttl that counts for caller, and returns what it is in
// the result's Lease. The outcome is Committed, LeaseFull or LeaseCallerFull. It
// fails as Do does.
func (s *Store) Grant(ctx context.Context, caller string, ttl time.Duration, idem Idem) (Result, error) {
	return s.Do(ctx, &Command{Idem: idem, Lease: &LeaseCommand{
		Kind: LeaseGrant, ID: NewLeaseID(), TTL: ttl, Caller: caller,
	}})
}

// KeepAlive renews a lease: it lives for its TTL from when this was applied. The
// outcome is Committed, with the result's Lease, or LeaseEnded: a lease that has ended
// does not begin again. It fails as Do does.
func (s *Store) KeepAlive(ctx context.Context, id LeaseID) (Result, error) {
	return s.Do(ctx, &Command{Lease: &LeaseCommand{Kind: LeaseKeep, ID: id}})
}

// Revoke ends a lease and deletes its keys, all in the result's Rev. The outcome
// is Committed or LeaseEnded. It fails as Do does.
func (s *Store) Revoke(ctx context.Context, id LeaseID, idem Idem) (Result, error) {
	return s.Do(ctx, &Command{Idem: idem, Lease: &LeaseCommand{Kind: LeaseRevoke, ID: id}})
}

// Lease returns what a lease is; false if it does not exist or has ended. The read
// is linearizable. It fails as Log.ReadBarrier does.
func (s *Store) Lease(ctx context.Context, id LeaseID) (LeaseInfo, bool, error) {
	if err := s.log.ReadBarrier(ctx); err != nil {
		return LeaseInfo{}, false, err
	}
	info, ok := s.State().Lease(id)
	return info, ok, nil
}

// KeepLock renews the lease of a lock's holder. The outcome is Committed, with
// the result's Lease, or LockLost if the lock is not held under token. It fails
// as Do does.
func (s *Store) KeepLock(ctx context.Context, name string, token Rev) (Result, error) {
	return s.Do(ctx, &Command{Lock: &LockCommand{Kind: LockKeep, Name: name, Token: token}})
}

// Unlock releases a lock that is held under token: the lease of its holder ends,
// and the next in the queue gets it in the same revision. The outcome is
// Committed or LockLost. It fails as Do does.
func (s *Store) Unlock(ctx context.Context, name string, token Rev, idem Idem) (Result, error) {
	return s.Do(ctx, &Command{Idem: idem, Lock: &LockCommand{Kind: LockRelease, Name: name, Token: token}})
}

// Break takes a lock from its holder. The outcome is Committed, or LockFree if it is
// not held. It fails as Do does.
func (s *Store) Break(ctx context.Context, name string, idem Idem) (Result, error) {
	return s.Do(ctx, &Command{Idem: idem, Lock: &LockCommand{Kind: LockBreak, Name: name}})
}

// GiveUp ends the wait of a lease for a lock. The outcome is LockHeld, with the
// holder as the result's Current, Committed if the lock was granted meanwhile, or
// LockLost if the lease has ended. It fails as Do does.
func (s *Store) GiveUp(ctx context.Context, name string, id LeaseID) (Result, error) {
	return s.Do(ctx, &Command{Lock: &LockCommand{Kind: LockGiveUp, Name: name, ID: id}})
}
