package kv

import (
	"fmt"
	"strings"
)

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
	if len(c.Ops)+len(c.Else) > l.Ops || len(c.Checks) > l.Ops || len(c.Fences) > l.Ops || len(c.Reads) > l.Ops {
		return fmt.Errorf("%w: more than %d operations or checks", ErrBatchTooLarge, l.Ops)
	}
	if len(c.Else) > 0 && !c.HasElse {
		return fmt.Errorf("%w: else without HasElse", ErrBadCommand)
	}
	size := 0
	if err := validateChecks(c.Checks, l, &size); err != nil {
		return err
	}
	for i := range c.Reads {
		if err := CheckKey(c.Reads[i].Key); err != nil {
			return err
		}
		size += len(c.Reads[i].Key)
	}
	for _, ops := range [2][]Op{c.Ops, c.Else} {
		if err := validateOps(ops, l, &size, true); err != nil {
			return err
		}
	}
	if err := c.validateParts(l, &size); err != nil {
		return err
	}
	if size > l.Command {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBatchTooLarge, size, l.Command)
	}
	return nil
}

func validateChecks(checks []Check, l Limits, size *int) error {
	for i := range checks {
		if err := checks[i].validate(l); err != nil {
			return err
		}
		*size += len(checks[i].Key) + len(checks[i].Value)
	}
	return nil
}

func (c *Command) validateParts(l Limits, size *int) error {
	if c.Parts == nil {
		return nil
	}
	if len(c.Ops)+len(c.Else) > 0 || c.HasElse {
		return fmt.Errorf("%w: parts and operations", ErrBadCommand)
	}
	ops, checks := 0, len(c.Checks)
	for i := range c.Parts {
		p := &c.Parts[i]
		ops, checks = ops+max(1, len(p.Ops)+len(p.Else)), checks+len(p.Checks)
		if ops > l.Ops || checks > l.Ops {
			return fmt.Errorf("%w: more than %d operations or checks", ErrBatchTooLarge, l.Ops)
		}
		if len(p.Else) > 0 && !p.HasElse {
			return fmt.Errorf("%w: else without HasElse", ErrBadCommand)
		}
		if err := validateChecks(p.Checks, l, size); err != nil {
			return err
		}
		for _, ops := range [2][]Op{p.Ops, p.Else} {
			if err := validateOps(ops, l, size, false); err != nil {
				return err
			}
		}
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
	if k.Kind < CheckRev || k.Kind > CheckUnchanged {
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

// validateOps validates operations and adds their sizes to size. once says that they
// may write a key only once.
func validateOps(ops []Op, l Limits, size *int, once bool) error {
	var written map[string]struct{}
	if once && len(ops) > 1 {
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
	if op.Kind < OpPut || op.Kind > OpTouch {
		return fmt.Errorf("%w: operation kind %d", ErrBadCommand, op.Kind)
	}
	if err := CheckKey(op.Key); err != nil {
		return err
	}
	if op.Kind != OpGet && strings.HasPrefix(op.Key, ReservedPrefix) {
		return ErrReservedKey
	}
	if len(op.Value) > l.Value {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrValueTooLarge, len(op.Value), l.Value)
	}
	switch op.Kind {
	case OpPut, OpTouch:
		return op.validateTTL()
	case OpAddFloat:
		if _, ok := parseFloat(op.Value); !ok {
			return fmt.Errorf("%w: %.80q is not a number", ErrBadCommand, op.Value)
		}
	}
	return nil
}

func (op *Op) validateTTL() error {
	switch {
	case op.At < 0 || op.At > MaxDeadline || op.At != 0 && op.TTL != 0:
		return fmt.Errorf("%w: a deadline of %d beside a TTL of %v", ErrBadCommand, op.At, op.TTL)
	case op.KeepLease && (op.Kind != OpPut || op.Lease != LeaseID{}):
		return fmt.Errorf("%w: a lease to keep beside a new one", ErrBadCommand)
	case op.Kind == OpTouch && op.TTL == KeepTTL, op.When > TouchNone|TouchSome|TouchLater|TouchSooner:
		return fmt.Errorf("%w: a touch that changes nothing", ErrBadCommand)
	case op.TTL != 0 && op.TTL != KeepTTL && (op.TTL < MinTTL || op.TTL > MaxTTL):
		return ErrBadTTL
	}
	return nil
}
