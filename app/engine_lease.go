package app

import (
	"context"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
)

// Grant begins a lease: keys that are written with it are deleted, in one
// revision, when it was not kept alive for ttl. The result's Lease names it; the
// outcome is kv.Committed, or kv.LeaseFull if there are too many. It fails as
// kv.Store.Do does.
func (e *Engine) Grant(ctx context.Context, ttl time.Duration) (kv.Result, error) {
	return e.store.Grant(ctx, "", ttl, kv.Idem{})
}

// KeepAlive renews a lease; the outcome is kv.LeaseEnded if it has ended. It
// fails as kv.Store.Do does.
func (e *Engine) KeepAlive(ctx context.Context, id kv.LeaseID) (kv.Result, error) {
	return e.store.KeepAlive(ctx, id)
}

// Revoke ends a lease and deletes its keys; the outcome is kv.LeaseEnded if it
// has ended. It fails as kv.Store.Do does.
func (e *Engine) Revoke(ctx context.Context, id kv.LeaseID) (kv.Result, error) {
	return e.store.Revoke(ctx, id, kv.Idem{})
}

// Lock asks for a lock, see lock.Acquire. The holder keeps it alive with KeepLock
// or, by its lease, KeepAlive.
func (e *Engine) Lock(ctx context.Context, q lock.Request) (kv.Result, error) {
	return lock.Acquire(ctx, e.store, q)
}

// KeepLock renews a lock that is held under token; the outcome is kv.LockLost if
// it is not. It fails as kv.Store.Do does.
func (e *Engine) KeepLock(ctx context.Context, name string, token kv.Rev) (kv.Result, error) {
	return e.store.KeepLock(ctx, name, token)
}

// Unlock releases a lock that is held under token; the outcome is kv.LockLost if
// it is not. It fails as kv.Store.Do does.
func (e *Engine) Unlock(ctx context.Context, name string, token kv.Rev) (kv.Result, error) {
	return e.store.Unlock(ctx, name, token, kv.Idem{})
}
