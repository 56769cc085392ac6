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
	if c.Idem.Key != "" && (r.Outcome <= kv.FenceLost || r.Outcome >= kv.LockQueued && r.Outcome < kv.PrivateFull && r.Outcome != kv.Stale) {
		m.idem = append(m.idem, idemRecord{c.Idem, m.Time + m.Params.IdemAge.Milliseconds(), r, extended(c)})
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
	return m.batch(c)
}

// batch runs checks and operations.
func (m *Model) batch(c *kv.Command) (r Result) {
	r.Outcome = kv.Committed
	ops := c.Ops
	if i, it := m.failed(c.Checks); i >= 0 {
		r = Result{Outcome: kv.CheckFailed, Failed: i, Current: it}
		if !c.HasElse {
			return r
		}
		r.Outcome, ops = kv.ElseRan, c.Else
	}
	for _, read := range c.Reads {
		if it := m.Get(read.Key); it == nil && read.Rev != 0 || it != nil && it.Mod != read.Rev {
			return Result{Outcome: kv.Stale}
		}
	}
	if c.Parts != nil {
		return m.runParts(c.Parts)
	}
	if i, why := m.refuse(ops); why != 0 {
		return Result{Outcome: why, Failed: i}
	}
	for i, op := range ops {
		if _, why := m.rewrite(op); why != 0 {
			return Result{Outcome: kv.OpFailed, Failed: i, Why: why}
		}
	}
	r.Rev = m.revision(func() { r.Ops = m.runOps(ops) })
	return r
}

// failed returns the first check that does not hold and what stands there, -1 if all do.
func (m *Model) failed(checks []kv.Check) (int, *Item) {
	for i, k := range checks {
		it := m.Get(k.Key)
		if k.Kind == kv.CheckUnchanged && m.changed(k.Key, kv.Rev(k.N)) || k.Kind != kv.CheckUnchanged && !holds(k, it) {
			return i, it
		}
	}
	return -1, nil
}

// changed reports whether key was written or deleted after rev, or may have been.
func (m *Model) changed(key string, rev kv.Rev) bool {
	if it, ok := m.newest[key]; ok {
		return it.Mod > rev
	}
	return m.Floor > rev
}

// runParts runs parts in one revision.
func (m *Model) runParts(parts []kv.Part) Result {
	r := Result{Outcome: kv.Committed}
	m.parts = make(map[string]*Item)
	defer func() { m.parts = nil }()
	r.Rev = m.revision(func() {
		for _, p := range parts {
			r.Parts = append(r.Parts, m.runPart(p))
		}
	})
	return r
}

func (m *Model) runPart(p kv.Part) PartResult {
	r := PartResult{Outcome: kv.Committed}
	ops := p.Ops
	if i, it := m.failed(p.Checks); i >= 0 {
		r.Outcome, r.Failed, r.Current = kv.CheckFailed, i, versionOf(it)
		if !p.HasElse {
			return r
		}
		r.Outcome, ops = kv.ElseRan, p.Else
	}
	if i, why := m.refuse(ops); why != 0 {
		return PartResult{Outcome: why, Failed: i}
	}
	r.Ops = m.runOps(ops)
	return r
}

// versionOf returns it as far as the result of a part shows it.
func versionOf(it *Item) *Item {
	if it == nil {
		return nil
	}
	return &Item{Mod: it.Mod, Create: it.Create, Version: it.Version}
}

func holds(k kv.Check, it *Item) bool {
	if k.Kind == kv.CheckValue {
		return it != nil && it.Value == string(k.Value)
	}
	if k.Kind == kv.CheckValueNot {
		return it == nil || it.Value != string(k.Value)
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
		default:
			put, why := m.rewrite(op)
			if why != 0 {
				out = append(out, OpResult{Why: why})
				continue
			}
			if put != nil {
				it = m.put(*put)
			}
		}
		out = append(out, OpResult{Item: it})
	}
	return out
}

// rewrite returns the put that an add or a touch comes to, nil if it changes nothing, or
// why it cannot be done.
func (m *Model) rewrite(op kv.Op) (put *kv.Op, why kv.OpError) {
	old := m.Get(op.Key)
	value := "0"
	if old != nil {
		value = old.Value
	}
	switch op.Kind {
	case kv.OpAdd:
		value, why = kv.AddInteger(value, op.By)
	case kv.OpAddFloat:
		value, why = kv.AddFloat(value, string(op.Value))
	case kv.OpTouch:
		return m.touched(op, old)
	default:
		return nil, 0
	}
	return &kv.Op{Key: op.Key, Value: []byte(value), TTL: kv.KeepTTL, KeepLease: true}, why
}

// touched is rewrite for a touch.
func (m *Model) touched(op kv.Op, old *Item) (*kv.Op, kv.OpError) {
	at := op.At
	if op.TTL > 0 {
		at = m.Time + millis(op.TTL)
	}
	if old == nil || !touches(op.When, old.Deadline, at) {
		return nil, 0
	}
	_, written := m.parts[op.Key]
	if len(old.Value) >= kv.SmallValue && !written && len(op.Value) != len(old.Value) {
		return nil, kv.NoValue
	}
	return &kv.Op{Key: op.Key, Value: []byte(old.Value), TTL: op.TTL, At: op.At, KeepLease: true}, 0
}

// touches reports whether a deadline may be replaced; 0 is later than any other.
func touches(when kv.TouchWhen, old, next int64) bool {
	later := next == 0 && old != 0 || next != 0 && old != 0 && next > old
	sooner := old == 0 && next != 0 || next != 0 && old != 0 && next < old
	return !(when&kv.TouchNone != 0 && old != 0 || when&kv.TouchSome != 0 && old == 0 ||
		when&kv.TouchLater != 0 && !later || when&kv.TouchSooner != 0 && !sooner)
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
	for _, r := range c.Reads {
		m.expireKey(r.Key)
	}
	ops := slices.Concat(c.Ops, c.Else)
	for _, p := range c.Parts {
		for _, k := range p.Checks {
			m.expireKey(k.Key)
		}
		ops = slices.Concat(ops, p.Ops, p.Else)
	}
	for _, op := range ops {
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
		return m.again(rec.result, rec.extended), true
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

// extended reports whether small values in the outcome of c are kept with it.
func extended(c *kv.Command) bool {
	return c.Parts != nil || len(c.Reads) > 0 ||
		slices.ContainsFunc(c.Checks, func(k kv.Check) bool { return k.Kind >= kv.CheckValueNot }) ||
		slices.ContainsFunc(slices.Concat(c.Ops, c.Else), func(op kv.Op) bool {
			return op.Kind > kv.OpGet || op.At != 0 || op.KeepLease
		})
}

// again returns a kept result without the values that are no longer there.
func (m *Model) again(r Result, extended bool) Result {
	r.Replayed = true
	if l := r.Lease; l != nil {
		r.Lease = &kv.LeaseInfo{ID: l.ID, TTL: l.TTL, Deadline: l.Deadline, Token: l.Token}
	}
	r.Current, r.CurrentNoValue = m.fresh(r.Current)
	r.Ops = slices.Clone(r.Ops)
	for i := range r.Ops {
		if it := r.Ops[i].Item; !extended || it == nil || len(it.Value) >= kv.SmallValue {
			r.Ops[i].Item, r.Ops[i].NoValue = m.fresh(it)
		}
	}
	r.Parts = slices.Clone(r.Parts)
	for i := range r.Parts {
		r.Parts[i].Ops = slices.Clone(r.Parts[i].Ops)
		for j := range r.Parts[i].Ops {
			if did := &r.Parts[i].Ops[j]; did.Item != nil && did.Item.Cause == "" && len(did.Item.Value) >= kv.SmallValue {
				stale := *did.Item
				stale.Value = ""
				did.Item, did.NoValue = &stale, true
			}
		}
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
