package kvtest

import (
	"slices"
	"strings"

	"keywatch/kv"
)

// run decides one command.
func (m *Model) run(c *kv.Command) (r Result) {
	if c.Auth != 0 && c.Auth != m.Auth {
		return Result{Outcome: kv.AuthMoved}
	}
	if c.Private != nil {
		return m.runPrivate(c.Private)
	}
	if c.Idem.Key != "" {
		if r, known := m.replay(c); known {
			return r
		}
	}
	m.expireTouched(c)
	r = m.decide(c)
	if c.Idem.Key != "" && (r.Outcome <= kv.FenceLost || r.Outcome >= kv.LockQueued && r.Outcome < kv.PrivateFull) {
		m.idem = append(m.idem, idemRecord{c.Idem, m.Time + m.Params.IdemAge.Milliseconds(), r})
	}
	return r
}

func (m *Model) decide(c *kv.Command) (r Result) {
	for i, f := range c.Fences {
		if it := m.Get(kv.ReservedPrefix + f.Lock); it == nil || it.Create != f.Token {
			return Result{Outcome: kv.FenceLost, Failed: i, Current: it}
		}
	}
	switch {
	case c.Prefix != nil:
		return m.removePrefix(*c.Prefix)
	case c.Lease != nil:
		return m.runLease(c.Lease)
	case c.Lock != nil:
		return m.runLock(c.Lock)
	case c.Refer != nil:
		return m.runRefer(c.Refer)
	}
	for i, k := range c.Checks {
		it := m.Get(k.Key)
		if holds(k, it) {
			continue
		}
		r := Result{Outcome: kv.CheckFailed, Failed: i, Current: it}
		if c.HasElse {
			if i, why := m.refuse(c.Else); why != 0 {
				return Result{Outcome: why, Failed: i}
			}
			r.Outcome = kv.ElseRan
			r.Rev = m.revision(func() { r.Ops = m.runOps(c.Else) })
		}
		return r
	}
	if i, why := m.refuse(c.Ops); why != 0 {
		return Result{Outcome: why, Failed: i}
	}
	r.Outcome = kv.Committed
	r.Rev = m.revision(func() { r.Ops = m.runOps(c.Ops) })
	return r
}

func holds(k kv.Check, it *Item) bool {
	if k.Kind == kv.CheckValue {
		return it != nil && it.Value == string(k.Value)
	}
	if k.Kind == kv.CheckExists {
		return (it != nil) == (k.N == 1)
	}
	if it == nil {
		return k.N == 0
	}
	switch k.Kind {
	case kv.CheckRev:
		return uint64(it.Mod) == k.N
	case kv.CheckCreate:
		return uint64(it.Create) == k.N
	}
	return it.Version == k.N
}

func (m *Model) runOps(ops []kv.Op) (out []OpResult) {
	for _, op := range ops {
		var it *Item
		switch op.Kind {
		case kv.OpPut:
			it = m.put(op)
		case kv.OpDelete:
			it = m.remove(op.Key, "deleted")
		case kv.OpGet:
			it = m.Get(op.Key)
		}
		out = append(out, OpResult{Item: it})
	}
	return out
}

func (m *Model) removePrefix(prefix string) Result {
	found := slices.DeleteFunc(m.Scan(prefix, ""), func(it Item) bool {
		return strings.HasPrefix(it.Key, kv.ReservedPrefix)
	})
	if len(found) > m.Params.DeleteMax {
		return Result{Outcome: kv.TooMany}
	}
	rev := m.revision(func() {
		for _, it := range found {
			m.remove(it.Key, "deleted")
		}
	})
	return Result{Outcome: kv.Committed, Rev: rev, Deleted: len(found)}
}

// expireTouched deletes what is due among the keys that c names.
func (m *Model) expireTouched(c *kv.Command) {
	if c.Lease != nil {
		m.expireLease(c.Lease.ID)
	}
	if c.Lock != nil {
		m.expireKey(kv.LockKey(c.Lock.Name))
		m.expireLease(c.Lock.ID)
	}
	for _, f := range c.Fences {
		m.expireKey(kv.LockKey(f.Lock))
	}
	for _, k := range c.Checks {
		m.expireKey(k.Key)
	}
	for _, op := range slices.Concat(c.Ops, c.Else) {
		m.expireKey(op.Key)
		m.expireLease(op.Lease)
	}
	if c.Prefix != nil {
		m.expireUnder(*c.Prefix)
	}
}

// expireUnder ends what is due and has a key under prefix: keys on their own
// first, then leases.
func (m *Model) expireUnder(prefix string) {
	for _, key := range m.due(prefix) {
		m.expire(key)
	}
	leases := slices.DeleteFunc(m.dueLeases(), func(l modelLease) bool {
		return !slices.ContainsFunc(m.hanging(l.id), func(key string) bool { return strings.HasPrefix(key, prefix) })
	})
	for _, l := range leases {
		m.end(l.id, "")
	}
}

// replay answers a command from the outcomes kept, or refuses to keep another.
func (m *Model) replay(c *kv.Command) (Result, bool) {
	if rec := m.outcomeOf(&c.Idem); rec != nil {
		if rec.id.Fingerprint != c.Idem.Fingerprint {
			return Result{Outcome: kv.IdemMismatch}, true
		}
		if l := rec.result.Lease; l != nil && c.Lock != nil && c.Lock.Kind == kv.LockAcquire {
			return m.acquireAgain(l.ID), true
		}
		return m.again(rec.result), true
	}
	callers := 0
	for _, rec := range m.idem {
		if rec.id.Caller == c.Idem.Caller {
			callers++
		}
	}
	switch {
	case len(m.idem) >= m.Params.IdemMax:
		return Result{Outcome: kv.IdemFull}, true
	case callers >= m.Params.IdemPerCaller:
		return Result{Outcome: kv.IdemCallerFull}, true
	}
	return Result{}, false
}

// outcomeOf returns the record of a request, nil if there is none. A record whose scope is an
// address was made by an earlier release, for a caller that asks without a scope now.
func (m *Model) outcomeOf(id *kv.Idem) *idemRecord {
	scopes := []string{id.Scope}
	if id.Scope == "" {
		scopes = append(scopes, id.Caller)
	}
	for _, scope := range scopes {
		for i := range m.idem {
			if known := &m.idem[i]; known.id.Key == id.Key && known.id.Scope == scope {
				return known
			}
		}
	}
	return nil
}

// again returns a kept result without the values that are no longer there.
func (m *Model) again(r Result) Result {
	r.Replayed = true
	if l := r.Lease; l != nil {
		r.Lease = &kv.LeaseInfo{ID: l.ID, TTL: l.TTL, Deadline: l.Deadline, Token: l.Token}
	}
	r.Current, r.CurrentNoValue = m.fresh(r.Current)
	r.Ops = slices.Clone(r.Ops)
	for i := range r.Ops {
		r.Ops[i].Item, r.Ops[i].NoValue = m.fresh(r.Ops[i].Item)
	}
	return r
}

func (m *Model) fresh(it *Item) (*Item, bool) {
	if it == nil || it.Cause != "" {
		return it, false
	}
	if now := m.Get(it.Key); now != nil && now.Mod == it.Mod {
		return now, false
	}
	stale := *it
	stale.Value = ""
	return &stale, true
}
