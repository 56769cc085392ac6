package kv

import (
	"fmt"
	"time"
)

// LeaseKind says what a LeaseCommand does.
type LeaseKind uint8

// The commands about leases.
const (
	// LeaseGrant begins the lease ID, which was never used, with TTL.
	LeaseGrant LeaseKind = iota + 1
	// LeaseKeep renews the lease: it lives for its TTL from now on.
	LeaseKeep
	// LeaseRevoke ends the lease and deletes all its keys in one revision.
	LeaseRevoke
)

// A LeaseCommand is a request about one lease.
type LeaseCommand struct {
	Kind LeaseKind
	ID   LeaseID
	// TTL is what LeaseGrant gives, MinTTL to MaxTTL, rounded up to
	// milliseconds.
	TTL time.Duration
	// Caller is for whom LeaseGrant counts, see Params.LeasePerCaller; up to
	// MaxOwner bytes.
	Caller string
}

// A LeaseInfo is what a lease is at one moment.
type LeaseInfo struct {
	ID LeaseID
	// TTL is what the lease was granted for, in milliseconds.
	TTL int64
	// Deadline is the log time, in milliseconds, after which it ends.
	Deadline int64
	// Keys counts the keys that are attached to it.
	Keys int
	// Waiting is set while the lease is that of a place in the queue for a lock.
	Waiting bool
	// Token is the fencing token of the lock that the lease holds; 0 if none.
	Token Rev
}

// Remaining returns the milliseconds from log time now to the deadline, at
// least 1.
func (l *LeaseInfo) Remaining(now int64) int64 { return max(1, l.Deadline-now) }

func (l *LeaseCommand) validate() error {
	switch {
	case l.Kind < LeaseGrant || l.Kind > LeaseRevoke || l.ID == (LeaseID{}):
		return fmt.Errorf("%w: lease command %d", ErrBadCommand, l.Kind)
	case l.Kind != LeaseGrant:
		return nil
	case l.TTL < MinTTL || l.TTL > MaxTTL:
		return ErrBadTTL
	case len(l.Caller) > MaxOwner:
		return fmt.Errorf("%w: the caller's name is too long", ErrBadCommand)
	}
	return nil
}
