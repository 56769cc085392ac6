package kv

import (
	"iter"
	"time"

	"keywatch/kv/trace"
)

// Limits of a TTL.
const (
	MinTTL = time.Millisecond
	MaxTTL = 10 * 365 * 24 * time.Hour
)

// KeepTTL as an operation's TTL keeps the deadline that the key has.
const KeepTTL = time.Duration(-1)

// OpKind says what an operation does.
type OpKind uint8

// The operations.
const (
	OpPut OpKind = iota + 1
	OpDelete
	OpGet
	// OpAdd adds By to the decimal integer that is the key's value, 0 if the key is
	// absent. TTL and lease of the key stay.
	OpAdd
	// OpAddFloat adds the decimal number Value to the one that is the key's value, 0 if
	// the key is absent: see AddFloat. TTL and lease of the key stay.
	OpAddFloat
	// OpTouch gives the key another TTL; its value and lease stay. It does nothing if
	// the key is absent or When does not hold.
	OpTouch
)

// An Op is one operation of a command.
type Op struct {
	Kind OpKind
	Key  string
	// Value is what OpPut writes, and what OpAddFloat adds. In an OpTouch of a value of
	// SmallValue bytes or more it is that value, which a Read of the command then names:
	// Store sees to both. It is not kept after Do returns.
	Value []byte
	// TTL is the time to live that OpPut and OpTouch give: 0 for none, KeepTTL to keep
	// the deadline there is, which OpTouch must not. It is rounded up to milliseconds.
	TTL time.Duration
	// At, if not zero, is the log time in milliseconds at which the key ends, in place of
	// a TTL. It may be later than MaxTTL from now, up to MaxDeadline.
	At int64
	// Lease is the lease that OpPut attaches the key to; none if zero.
	Lease LeaseID
	// KeepLease has OpPut keep the lease that the key is attached to.
	KeepLease bool
	// By is what OpAdd adds.
	By int64
	// When says what has to hold of the key's deadline for OpTouch to change it.
	When TouchWhen
}

// MaxDeadline is the largest Op.At.
const MaxDeadline = maxTime

// TouchWhen is a set of conditions, all of which have to hold. A key without a
// deadline ends later than any other.
type TouchWhen uint8

// The conditions.
const (
	// TouchNone expects no deadline, TouchSome expects one.
	TouchNone TouchWhen = 1 << iota
	TouchSome
	// TouchLater expects the new deadline to be later than the one there is,
	// TouchSooner expects it to be sooner.
	TouchLater
	TouchSooner
)

// CheckKind says what a check compares.
type CheckKind uint8

// The checks.
const (
	// CheckRev compares the mod revision with N; 0 means absent.
	CheckRev CheckKind = iota + 1
	// CheckCreate compares the create revision with N.
	CheckCreate
	// CheckVersion compares the version with N; 0 means absent.
	CheckVersion
	// CheckExists expects the key to exist (N is 1) or not (N is 0).
	CheckExists
	// CheckValue compares the value with Value; an absent key fails.
	CheckValue
	// CheckValueNot expects another value than Value, or none.
	CheckValueNot
	// CheckUnchanged expects that the key was neither written nor deleted after revision N. It
	// fails where that is not known any more, because deletions after N were forgotten.
	CheckUnchanged
)

// A Check is one condition of a command.
type Check struct {
	Kind  CheckKind
	Key   string
	N     uint64
	Value []byte
}

// NeverRev makes a CheckRev that always fails: the condition named a revision
// of another epoch.
const NeverRev = uint64(noRev)

// A Fence makes a command run only while Lock is held under Token.
type Fence struct {
	Lock  string
	Token Rev
}

// Idem identifies a request for idempotent retries. The zero Idem is none.
type Idem struct {
	// Scope is whose the key is: the caller that a credential proves, which is then equal
	// to Caller, or "" for all without one. An address is no scope: a client that repeats a
	// request may have another one by then.
	Scope string
	// Caller is for whom the record counts, see Params.IdemPerCaller.
	Caller string
	// Key is up to 128 visible ASCII bytes; it is unique within the scope.
	Key string
	// Fingerprint identifies what was asked; the same Key with another
	// Fingerprint is refused.
	Fingerprint [16]byte
}

// A Part is a part of a command: it runs Ops if all its Checks hold, and Else if
// one does not. Checks and operations see what the parts before it have done.
type Part struct {
	Checks    []Check
	Ops, Else []Op
	HasElse   bool
}

// A Read is a version that a command was made from: the mod revision of Key, 0 if it
// was absent.
type Read struct {
	Key string
	Rev Rev
}

// A Command is one write request: all of it happens in one revision, or
// nothing. With Prefix set it deletes every key that begins with *Prefix
// (lock keys excepted); otherwise it runs Ops if all Checks hold, and Else if
// one does not. Fences are tested first: if one fails nothing runs.
//
// With Parts set there are no Ops and no Else. If all Checks hold the parts run one
// after the other, in one revision, and a part that fails does not keep the others
// from running. Parts may write a key more than once: readers and watchers see what
// is left of it at the end.
type Command struct {
	Fences []Fence
	Checks []Check
	// Reads are tested after Checks. If one does not hold any more nothing runs and the
	// outcome is Stale.
	Reads []Read
	Ops   []Op
	Parts []Part
	// Else runs instead of Ops when a check fails; HasElse tells an empty Else
	// from none.
	Else    []Op
	HasElse bool
	Prefix  *string
	Idem    Idem
	// Logged gives the command a place in the log even if it only reads: so its reads see all
	// that was begun before.
	Logged bool
	// Lease or Lock, if not nil, is all that is done: such a command has no
	// checks, operations or prefix.
	Lease *LeaseCommand
	Lock  *LockCommand
	// Refer, if not nil, is all that the command does.
	Refer *Refer
	// Private, if not nil, is all that the command does.
	Private *PrivateCommand
	// Auth is the auth revision under which the command was allowed: it ends with AuthMoved,
	// and does nothing, if another is in force at its place in the log. 0 is for what needs no
	// permission. A Refer has none.
	Auth Rev
	// Span, if not nil, is the request that the command is of, to which a log that knows adds its
	// parts. It is not written to the log.
	Span *trace.Span
}

// Limits bound a command. The zero value of each field is its default.
type Limits struct {
	// Value is the largest value in bytes; 1 MiB by default.
	Value int
	// Ops is the largest number of operations, in Ops and Else together, and of
	// checks; 1024 by default.
	Ops int
	// Command is the largest size of all keys and values together in bytes, and that
	// of all values that its gets return; 8 MiB by default.
	Command int
}

// WithDefaults returns l with its zero fields set.
func (l Limits) WithDefaults() Limits {
	if l.Value == 0 {
		l.Value = 1 << 20
	}
	if l.Ops == 0 {
		l.Ops = 1024
	}
	if l.Command == 0 {
		l.Command = 8 << 20
	}
	return l
}

func (c *Command) hasOps() bool {
	return len(c.Ops)+len(c.Else)+len(c.Checks)+len(c.Reads)+len(c.Parts) > 0 || c.HasElse
}

// ReadOnly reports whether c can change nothing, whatever its checks say, and
// so needs no place in the log.
func (c *Command) ReadOnly() bool {
	if c.Logged {
		return false
	}
	if c.Prefix != nil || c.Lease != nil || c.Lock != nil || c.Refer != nil || c.Private != nil {
		return false
	}
	for ops := range c.branches() {
		for i := range ops {
			if ops[i].Kind != OpGet {
				return false
			}
		}
	}
	return true
}

// branches ranges over the lists of operations of c.
func (c *Command) branches() iter.Seq[[]Op] {
	return func(yield func([]Op) bool) {
		if !yield(c.Ops) || !yield(c.Else) {
			return
		}
		for i := range c.Parts {
			if !yield(c.Parts[i].Ops) || !yield(c.Parts[i].Else) {
				return
			}
		}
	}
}
