// Package lock waits for locks. The state machine decides who gets a lock and in
// which order; this package asks for it, keeps the place in the queue alive while
// the caller waits, and gives it up when the caller does. A server that offers locks
// to the outside, over HTTP, WebSocket or in process, uses it.
//
// A lock alone is advice. What makes it exclusion is the fence: a write that
// carries the lock's token is refused once the lock has moved on.
package lock
