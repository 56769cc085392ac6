package kv

import (
	"fmt"
	"strings"
	"time"
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
)

// An Op is one operation of a command.
type Op struct {
	Kind OpKind
	Key  string
	// Value is what OpPut writes. It is not kept after Do returns.
	Value []byte
	// TTL is the time to live that OpPut gives: 0 for none, KeepTTL to keep
	// the deadline there is. It is rounded up to milliseconds.
	TTL time.Duration
	// Lease is the lease that OpPut attaches the key to; none if zero.
	Lease LeaseID
}

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

// A Command is one write request: all of it happens in one revision, or
// nothing. With Prefix set it deletes every key that begins with *Prefix
// (lock keys excepted); otherwise it runs Ops if all Checks hold, and Else if
// one does not. Fences are tested first: if one fails nothing runs.
type Command struct {
	Fences []Fence
	Checks []Check
	Ops    []Op
	// Else runs instead of Ops when a check fails; HasElse tells an empty Else
	// from none.
	Else    []Op
	HasElse bool
	Prefix  *string
	Idem    Idem
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

// Validate returns nil if c can be proposed, else an error that matches one of
// ErrBadKey, ErrReservedKey, ErrValueTooLarge, ErrBatchTooLarge,
// ErrDuplicateKey, ErrBadTTL or ErrBadCommand.
func (c *Command) Validate(l Limits) error {
	l = l.WithDefaults()
	if c.Idem.Scope != "" && c.Idem.Scope != c.Idem.Caller {
		return fmt.Errorf("%w: the scope of an idempotency key must be empty or the caller", ErrBadCommand)
	}
	if c.Refer != nil {
		return c.validateRefer()
	}
	if c.Private != nil {
		return c.validatePrivate()
	}
	if c.Lease != nil || c.Lock != nil {
		return c.validateLease(l)
	}
	if c.Prefix != nil {
		return c.validatePrefix()
	}
	if len(c.Ops)+len(c.Else) > l.Ops || len(c.Checks) > l.Ops || len(c.Fences) > l.Ops {
		return fmt.Errorf("%w: more than %d operations or checks", ErrBatchTooLarge, l.Ops)
	}
	if len(c.Else) > 0 && !c.HasElse {
		return fmt.Errorf("%w: else without HasElse", ErrBadCommand)
	}
	size := 0
	for i := range c.Checks {
		if err := c.Checks[i].validate(l); err != nil {
			return err
		}
		size += len(c.Checks[i].Key) + len(c.Checks[i].Value)
	}
	for _, ops := range [2][]Op{c.Ops, c.Else} {
		if err := validateOps(ops, l, &size); err != nil {
			return err
		}
	}
	if size > l.Command {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBatchTooLarge, size, l.Command)
	}
	return nil
}

func (c *Command) validateLease(l Limits) error {
	if c.hasOps() || c.Prefix != nil || c.Lease != nil && c.Lock != nil {
		return fmt.Errorf("%w: a lease or lock command must do nothing else", ErrBadCommand)
	}
	if len(c.Fences) > l.Ops {
		return fmt.Errorf("%w: more than %d fences", ErrBatchTooLarge, l.Ops)
	}
	if c.Lease != nil {
		return c.Lease.validate()
	}
	return c.Lock.validate()
}

func (c *Command) hasOps() bool {
	return len(c.Ops)+len(c.Else)+len(c.Checks) > 0 || c.HasElse
}

func (c *Command) validatePrefix() error {
	if c.hasOps() {
		return fmt.Errorf("%w: a prefix deletion must have no operations or checks", ErrBadCommand)
	}
	if strings.HasPrefix(*c.Prefix, ReservedPrefix) {
		return ErrReservedKey
	}
	return CheckPrefix(*c.Prefix)
}

func (k *Check) validate(l Limits) error {
	if k.Kind < CheckRev || k.Kind > CheckValue {
		return fmt.Errorf("%w: check kind %d", ErrBadCommand, k.Kind)
	}
	if k.Kind == CheckExists && k.N > 1 {
		return fmt.Errorf("%w: exists must be 0 or 1", ErrBadCommand)
	}
	if len(k.Value) > l.Value {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrValueTooLarge, len(k.Value), l.Value)
	}
	return CheckKey(k.Key)
}

func validateOps(ops []Op, l Limits, size *int) error {
	var written map[string]struct{}
	if len(ops) > 1 {
		written = make(map[string]struct{}, len(ops))
	}
	for i := range ops {
		op := &ops[i]
		if err := op.validate(l); err != nil {
			return err
		}
		*size += len(op.Key) + len(op.Value)
		if op.Kind == OpGet || written == nil {
			continue
		}
		if _, twice := written[op.Key]; twice {
			return fmt.Errorf("%w: %.80q", ErrDuplicateKey, op.Key)
		}
		written[op.Key] = struct{}{}
	}
	return nil
}

func (op *Op) validate(l Limits) error {
	if op.Kind < OpPut || op.Kind > OpGet {
		return fmt.Errorf("%w: operation kind %d", ErrBadCommand, op.Kind)
	}
	if err := CheckKey(op.Key); err != nil {
		return err
	}
	if op.Kind != OpGet && strings.HasPrefix(op.Key, ReservedPrefix) {
		return ErrReservedKey
	}
	if op.Kind != OpPut {
		return nil
	}
	if len(op.Value) > l.Value {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrValueTooLarge, len(op.Value), l.Value)
	}
	if op.TTL != 0 && op.TTL != KeepTTL && (op.TTL < MinTTL || op.TTL > MaxTTL) {
		return ErrBadTTL
	}
	return nil
}

// ReadOnly reports whether c can change nothing, whatever its checks say, and
// so needs no place in the log.
func (c *Command) ReadOnly() bool {
	if c.Prefix != nil || c.Lease != nil || c.Lock != nil || c.Refer != nil || c.Private != nil {
		return false
	}
	for _, ops := range [2][]Op{c.Ops, c.Else} {
		for i := range ops {
			if ops[i].Kind != OpGet {
				return false
			}
		}
	}
	return true
}
