package kv

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// MaxOwner is the longest text that a holder of a lock gives itself, in
	// bytes.
	MaxOwner = 1024
	// WaitTTL is how long a place in the queue for a lock should live without
	// being kept alive.
	WaitTTL = 10 * time.Second
	// maxLockName is the longest name of a lock.
	maxLockName = 200
	// queueInfix stands between the name of a lock and the number of a place.
	queueInfix = "/queue/"
	// queueDigits are what the number of a place is written with, so that places
	// are in order of arrival in the index too.
	queueDigits = 20
)

// LockKind says what a LockCommand does.
type LockKind uint8

// The commands about locks.
const (
	// LockAcquire takes the lock Name on the new lease ID, or a place in its
	// queue if WaitTTL is set, or fails with LockHeld.
	LockAcquire LockKind = iota + 1
	// LockGiveUp ends waiting: the place of lease ID goes (LockHeld), unless the
	// lock was granted to it meanwhile (Committed) or the lease has ended
	// (LockLost).
	LockGiveUp
	// LockKeep renews the lease of the holder, which Token must name; otherwise
	// the outcome is LockLost.
	LockKeep
	// LockRelease ends the lease of the holder, which Token must name; otherwise
	// the outcome is LockLost.
	LockRelease
	// LockBreak ends the lease of the holder. The outcome is LockFree if the lock is
	// not held.
	LockBreak
)

// A LockCommand is a request about one lock. A lock is the key LockKey(Name),
// whose value says who holds it and whose create revision is the fencing token;
// those who wait have keys LockKey(Name) + "/queue/" + n, with n growing in order
// of arrival. Each is attached to a lease of its own.
type LockCommand struct {
	Kind LockKind
	Name string
	ID   LeaseID
	// Token is the create revision of the holder's key.
	Token Rev
	// TTL is that of the holder's lease, MinTTL to MaxTTL.
	TTL time.Duration
	// WaitTTL, if not zero, asks LockAcquire for a place in the queue, whose
	// lease lives this long without being kept alive, up to MaxTTL; see WaitTTL.
	WaitTTL time.Duration
	// Owner is the value of the holder's key, up to MaxOwner bytes of UTF-8.
	Owner string
	// Caller is for whom the lease counts, see Params.LeasePerCaller.
	Caller string
}

// LockKey returns the key of the holder of a lock.
func LockKey(name string) string { return ReservedPrefix + name }

// LockName reports whether name can be that of a lock:
// [A-Za-z0-9][A-Za-z0-9._:-]{0,199}.
func LockName(name string) bool {
	if name == "" || len(name) > maxLockName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != ':' && c != '-') {
			return false
		}
	}
	return true
}

// QueuePrefix returns what begins the keys of those who wait for a lock; in the
// order of keys they are in the order of arrival.
func QueuePrefix(name string) string { return LockKey(name) + queueInfix }

func queueKey(name string, place Rev) string {
	n := strconv.FormatUint(uint64(place), 10)
	return QueuePrefix(name) + strings.Repeat("0", queueDigits-len(n)) + n
}

// parseLockKey takes the key of a holder or of a place in a queue apart.
func parseLockKey(key string) (name string, waiting, ok bool) {
	rest, ok := strings.CutPrefix(key, ReservedPrefix)
	if !ok {
		return "", false, false
	}
	name, place, waiting := strings.Cut(rest, queueInfix)
	if waiting && len(place) != queueDigits {
		return "", false, false
	}
	return name, waiting, LockName(name)
}

func (l *LockCommand) validate() error {
	if l.Kind < LockAcquire || l.Kind > LockBreak {
		return fmt.Errorf("%w: lock command %d", ErrBadCommand, l.Kind)
	}
	if !LockName(l.Name) {
		return fmt.Errorf("%w: %.80q is not a valid lock name", ErrBadCommand, l.Name)
	}
	if l.Kind == LockKeep || l.Kind == LockRelease || l.Kind == LockBreak {
		return nil
	}
	if l.ID == (LeaseID{}) {
		return fmt.Errorf("%w: a lock without a lease", ErrBadCommand)
	}
	if l.Kind != LockAcquire {
		return nil
	}
	if l.TTL < MinTTL || l.TTL > MaxTTL || l.WaitTTL < 0 || l.WaitTTL > MaxTTL {
		return ErrBadTTL
	}
	if len(l.Owner) > MaxOwner || !utf8.ValidString(l.Owner) || len(l.Caller) > MaxOwner {
		return fmt.Errorf("%w: an owner must be UTF-8 of at most %d bytes", ErrBadCommand, MaxOwner)
	}
	return nil
}
