package auth

import (
	"fmt"

	"keywatch/kv"
)

// A DeniedError says what a caller may not do. Nothing was done.
type DeniedError struct {
	// Need is the grant that is missing, such as "write:config/app".
	Need string
	// Index is that of the operation or name that needs it, -1 if there is only one.
	Index int
	// Hint, if not empty, says what is allowed instead.
	Hint string
}

func (e *DeniedError) Error() string { return fmt.Sprintf("not permitted: requires %s", e.Need) }

// A NotOwnError says that a command names a lease, or the token of a lock, that another caller
// has. The answer must be the one for a lease that does not exist: see kv.LeaseEnded and
// kv.LockLost.
type NotOwnError struct {
	// Outcome is what the command would end with if the lease did not exist.
	Outcome kv.Outcome
	// Failed is the index of the operation that names the lease.
	Failed int
}

func (e *NotOwnError) Error() string { return "the lease is another caller's" }

// Owners tells whose leases are.
type Owners interface {
	// OwnLease reports whether the caller may use a lease.
	OwnLease(id kv.LeaseID) bool
	// OwnLock reports whether the caller may use the lease that holds a lock under token.
	OwnLock(name string, token kv.Rev) bool
}

// Command returns nil if c is allowed, whatever stands where, else a *DeniedError or
// *NotOwnError. It alone knows what a command needs.
func (g *Grants) Command(c *kv.Command, own Owners) error {
	if c.Refer != nil || c.Private != nil {
		return &DeniedError{Need: "nothing that can be granted", Index: -1} // the server's own
	}
	for i := range c.Fences {
		if !g.fence(c.Fences[i].Lock) {
			return denied(Lock, c.Fences[i].Lock, i)
		}
	}
	switch {
	case c.Prefix != nil:
		return g.needUnder(Write, *c.Prefix)
	case c.Lease != nil:
		return g.lease(c.Lease, own)
	case c.Lock != nil:
		return g.lock(c.Lock, own)
	}
	return g.batch(c, own)
}

// batch is Command for checks, operations and parts.
func (g *Grants) batch(c *kv.Command, own Owners) error {
	for i := range c.Reads {
		if err := g.check(c, &kv.Check{Kind: kv.CheckRev, Key: c.Reads[i].Key}, i); err != nil {
			return err
		}
	}
	if err := g.branch(c, c.Checks, c.Ops, c.Else, own); err != nil {
		return err
	}
	for i := range c.Parts {
		p := &c.Parts[i]
		if err := g.branch(c, p.Checks, p.Ops, p.Else, own); err != nil {
			return err
		}
	}
	return nil
}

func (g *Grants) branch(c *kv.Command, checks []kv.Check, ops, other []kv.Op, own Owners) error {
	for i := range checks {
		if err := g.check(c, &checks[i], i); err != nil {
			return err
		}
	}
	for _, ops := range [2][]kv.Op{ops, other} {
		for i := range ops {
			if err := g.op(&ops[i], i, own); err != nil {
				return err
			}
		}
	}
	return nil
}

func denied(v Verb, target string, index int) *DeniedError {
	return &DeniedError{Need: need(v, target), Index: index}
}

// need returns the text of a grant that is missing.
func need(v Verb, target string) string {
	if !v.Targeted() {
		return v.String()
	}
	return v.String() + ":" + target
}

func (g *Grants) needUnder(v Verb, prefix string) error {
	if g.Under(v, prefix) {
		return nil
	}
	return &DeniedError{Need: (Grant{Verbs: []Verb{v}, Prefix: prefix, Under: true}).String(), Index: -1}
}

// fence reports whether a caller may learn who holds a lock.
func (g *Grants) fence(name string) bool { return g.Key(Lock, name) || g.Key(Read, kv.LockKey(name)) }

// op says whether an operation may run. What adds to a number tells it, and a condition on the
// deadline tells that: both are for readers.
func (g *Grants) op(op *kv.Op, i int, own Owners) error {
	if op.Kind != kv.OpGet && !g.Key(Write, op.Key) {
		return denied(Write, op.Key, i)
	}
	tells := op.Kind == kv.OpGet || op.Kind == kv.OpAdd || op.Kind == kv.OpAddFloat || op.When != 0
	if tells && !g.Key(Read, op.Key) {
		return denied(Read, op.Key, i)
	}
	if op.Lease != (kv.LeaseID{}) && !own.OwnLease(op.Lease) {
		return &NotOwnError{Outcome: kv.LeaseEnded, Failed: i}
	}
	return nil
}

// check says whether a condition may be asked. One by number or existence, of a key that the same
// command writes, requires write: a put tells as much. Every other requires read.
func (g *Grants) check(c *kv.Command, k *kv.Check, i int) error {
	if !byValue(k) && writes(c, k.Key) {
		if g.Key(Write, k.Key) {
			return nil
		}
		return denied(Write, k.Key, i)
	}
	if !g.Key(Read, k.Key) {
		return denied(Read, k.Key, i)
	}
	return nil
}

// byValue reports whether a condition compares a value: its answer tells something of that.
func byValue(k *kv.Check) bool { return k.Kind == kv.CheckValue || k.Kind == kv.CheckValueNot }

// writes reports whether a command writes key in one of its branches.
func writes(c *kv.Command, key string) bool {
	if written(c.Ops, key) || written(c.Else, key) {
		return true
	}
	for i := range c.Parts {
		if written(c.Parts[i].Ops, key) || written(c.Parts[i].Else, key) {
			return true
		}
	}
	return false
}

func written(ops []kv.Op, key string) bool {
	for i := range ops {
		if ops[i].Kind != kv.OpGet && ops[i].Key == key {
			return true
		}
	}
	return false
}

func (g *Grants) lease(l *kv.LeaseCommand, own Owners) error {
	switch {
	case !g.Can(Lease):
		return denied(Lease, "", -1)
	case l.Kind != kv.LeaseGrant && !g.Can(Admin) && !own.OwnLease(l.ID):
		return &NotOwnError{Outcome: kv.LeaseEnded}
	}
	return nil
}

func (g *Grants) lock(l *kv.LockCommand, own Owners) error {
	switch {
	case l.Kind == kv.LockBreak && !g.Can(Operate):
		return denied(Operate, "", -1)
	case l.Kind == kv.LockBreak:
		return nil
	case !g.Key(Lock, l.Name):
		return denied(Lock, l.Name, -1)
	case l.Kind == kv.LockGiveUp && !own.OwnLease(l.ID):
		return &NotOwnError{Outcome: kv.LockLost}
	case (l.Kind == kv.LockKeep || l.Kind == kv.LockRelease) && !own.OwnLock(l.Name, l.Token):
		return &NotOwnError{Outcome: kv.LockLost}
	}
	return nil
}

// Redact takes out of the result of c what the caller may not read: of what stood at a failed
// check, the value and lease without read of that key, and all of it unless the same command
// writes the key; who holds a lock without read of its key. It holds for replays too.
func (g *Grants) Redact(c *kv.Command, r *kv.Result) {
	for i := range r.Parts {
		p := &r.Parts[i]
		if p.Current != nil {
			p.Current, _ = g.found(c, &c.Parts[i].Checks[p.Failed], p.Current)
		}
	}
	if r.Current == nil {
		return
	}
	switch r.Outcome {
	case kv.FenceLost:
		if !g.Key(Read, kv.LockKey(c.Fences[r.Failed].Lock)) {
			r.Current = nil
		}
	case kv.CheckFailed, kv.ElseRan:
		bare := false
		r.Current, bare = g.found(c, &c.Checks[r.Failed], r.Current)
		r.CurrentNoValue = r.CurrentNoValue || bare
	default:
		if c.Lock == nil || !g.Key(Read, kv.LockKey(c.Lock.Name)) {
			r.Current = nil
		}
	}
}

// found returns what may be shown of e, which stood at a check that failed; bare says that it is
// without its value.
func (g *Grants) found(c *kv.Command, k *kv.Check, e *kv.Entry) (shown *kv.Entry, bare bool) {
	switch {
	case g.Key(Read, k.Key):
		return e, false
	case byValue(k) || !writes(c, k.Key) || !g.Key(Write, k.Key):
		return nil, false
	}
	return e.Bare(), true
}
