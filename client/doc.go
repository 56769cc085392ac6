// Package client talks to keywatch: keys with compare-and-swap, batches,
// watches, exact local copies, leases, locks and leader election.
//
//	c, err := client.New(client.Options{})
//	put, err := c.Put(ctx, "config/app", []byte("v1"))
//	_, err = c.CompareAndSwap(ctx, "config/app", client.IfRev(put.Rev), []byte("v2"))
//
// # Retries
//
// A request is sent again when its connection breaks, when the server refuses
// it for now (429 and 503, which were not applied) and when its outcome is
// unknown (504, a lost answer). Every write carries an Idempotency-Key of its
// own, so however often it is sent it is applied once. Delays have full jitter
// and keep to the server's Retry-After; with several endpoints the next one is
// tried. All of it ends with the context, or after Options.Patience.
//
// # Errors
//
// What the server refuses is an *Error with its status, code and, where a
// condition failed, the entry that was met. The sentinels of this package, such
// as ErrNotFound and ErrConflict, match it with errors.Is. A write that may or
// may not have been applied when time ran out matches ErrOutcomeUnknown.
//
// # Watching
//
// Watch is an iterator that survives lost connections and restarts of the
// server. Each revision comes whole, and no event twice. Where intermediate
// versions are gone the events Resync or Reset say so; a Mirror does what they
// ask for, and is a local map that equals the server's state at every revision
// that it shows.
//
// # Locks
//
// A lock is held as long as it is kept alive, and Held.Done is closed the moment
// that this can no longer be trusted. A paused process learns it late; therefore
// write through the lock (Held.Put and its siblings): the server refuses such a
// write once the lock has moved on.
//
// A Client, a Mirror, a Held, a Lease and an Election are safe for concurrent use.
package client
