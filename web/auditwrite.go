package web

import (
	"strings"

	"keywatch/auth"
	"keywatch/auth/audit"
	"keywatch/kv"
	"keywatch/web/api"
)

// auditWrite has a write be written down once its result is known.
func (s *Server) auditWrite(w auth.Written) {
	c := w.Command
	if c.Lease != nil && c.Lease.Kind == kv.LeaseKeep || c.Lock != nil && c.Lock.Kind == kv.LockKeep {
		return // it changes nothing but a deadline, again and again
	}
	e := audit.Event{Address: w.Address, Operation: w.Wire + " " + writeName(c)}
	identify(&e, w.Who)
	changes, other := changesOf(c)
	result, lease := w.Result, c.Lease != nil // which takes no revision
	s.opts.Audit.Write(e, changes.size+other.size, result.Done(), func(e *audit.Event, known bool) bool {
		r, err := kv.Result{}, kv.ErrOutcomeUnknown
		if known {
			r, err = result.Result()
		}
		switch {
		case err != nil:
			e.Code = string(api.FailureOf(err).Code)
		case r.Replayed || r.Rev == 0 && !(lease && r.Outcome == kv.Committed):
			return false
		case r.Outcome == kv.ElseRan:
			changes = other
		}
		e.Rev = uint64(r.Rev)
		if e.Targets, e.MoreTargets = changes.names, changes.more; len(e.Targets) == 1 {
			e.Target, e.Targets = e.Targets[0], nil
		}
		return true
	})
}

var (
	opNames    = map[kv.OpKind]string{kv.OpPut: "put", kv.OpDelete: "delete", kv.OpAdd: "add", kv.OpAddFloat: "add", kv.OpTouch: "touch"}
	leaseNames = map[kv.LeaseKind]string{kv.LeaseGrant: "grant lease", kv.LeaseRevoke: "revoke lease"}
	lockNames  = map[kv.LockKind]string{
		kv.LockAcquire: "lock", kv.LockGiveUp: "leave lock queue", kv.LockRelease: "unlock", kv.LockBreak: "force unlock",
	}
)

// writeName returns what a command does.
func writeName(c *kv.Command) string {
	switch {
	case c.Prefix != nil:
		return "delete prefix"
	case c.Lease != nil:
		return leaseNames[c.Lease.Kind]
	case c.Lock != nil:
		return lockNames[c.Lock.Kind]
	case len(c.Ops) == 1 && len(c.Else) == 0 && len(c.Parts) == 0:
		return opNames[c.Ops[0].Kind]
	}
	return "batch"
}

// targetsMax bounds the names in one event.
const targetsMax = 100

// changes are the names of what a command changes. They share no memory with it.
type changes struct {
	names      []string
	more, size int // how many are left out, and the bytes of those that are not
}

// changesOf returns what a command changes, or may change in one of its parts, and what its other branch
// changes.
func changesOf(c *kv.Command) (ops, other changes) {
	switch {
	case c.Prefix != nil:
		ops.add(*c.Prefix)
	case c.Lease != nil:
		ops.add(c.Lease.ID.String())
	case c.Lock != nil:
		ops.add(c.Lock.Name)
	}
	ops.addKeys(c.Ops)
	other.addKeys(c.Else)
	for i := range c.Parts {
		ops.addKeys(c.Parts[i].Ops)
		ops.addKeys(c.Parts[i].Else)
	}
	return ops, other
}

func (l *changes) addKeys(ops []kv.Op) {
	for i := range ops {
		if ops[i].Kind != kv.OpGet {
			l.add(ops[i].Key)
		}
	}
}

func (l *changes) add(name string) {
	if len(l.names) == targetsMax {
		l.more++
		return
	}
	l.names = append(l.names, strings.Clone(name))
	l.size += len(name)
}
