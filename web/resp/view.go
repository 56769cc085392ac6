package resp

import "keywatch/kv"

// A view is what the commands of a transaction have become so far.
type view struct{ parts []kv.Part }

// wrote reports whether a command before may write key.
func (w *view) wrote(key string) bool {
	for i := range w.parts {
		for _, ops := range [2][]kv.Op{w.parts[i].Ops, w.parts[i].Else} {
			for j := range ops {
				if ops[j].Kind != kv.OpGet && ops[j].Key == key {
					return true
				}
			}
		}
	}
	return false
}

// simulate returns what key is once the commands before have run. All that this rests on is
// noted as read, so it is what will be, or nothing runs.
func (c *call) simulate(key string) (val, error) {
	vals := make(map[string]val)
	load := func(key string) (val, error) {
		if v, ok := vals[key]; ok {
			return v, nil
		}
		v, err := c.stored(key)
		vals[key] = v
		return v, err
	}
	for i := range c.view.parts {
		p := &c.view.parts[i]
		held, err := holds(p.Checks, load)
		if err != nil {
			return val{}, err
		}
		ops := p.Ops
		if !held {
			ops = p.Else
		}
		for j := range ops {
			if err := c.apply(&ops[j], vals, load); err != nil {
				return val{}, err
			}
		}
	}
	return load(key)
}

func holds(checks []kv.Check, load func(string) (val, error)) (bool, error) {
	for i := range checks {
		k := &checks[i]
		v, err := load(k.Key)
		if err != nil {
			return false, err
		}
		ok := false
		switch k.Kind {
		case kv.CheckExists:
			ok = v.there == (k.N == 1)
		case kv.CheckValue:
			ok = v.there && v.value == string(k.Value)
		case kv.CheckValueNot:
			ok = !v.there || v.value != string(k.Value)
		case kv.CheckRev:
			ok = uint64(v.rev) == k.N
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// unknownRev is the revision of what the transaction itself writes.
const unknownRev = kv.Rev(kv.NeverRev)

// apply does op to vals.
func (c *call) apply(op *kv.Op, vals map[string]val, load func(string) (val, error)) error {
	if op.Kind == kv.OpGet {
		return nil
	}
	old, err := load(op.Key)
	if err != nil {
		return err
	}
	now := old
	now.rev, now.there = unknownRev, true
	at := op.At
	if op.TTL > 0 {
		at = c.logTime() + op.TTL.Milliseconds()
	}
	switch op.Kind {
	case kv.OpDelete:
		vals[op.Key] = val{}
		return nil
	case kv.OpPut:
		now.value = string(op.Value)
		if op.TTL != kv.KeepTTL {
			now.deadline = at
		}
		if !op.KeepLease {
			now.lease = op.Lease
		}
	case kv.OpTouch:
		if !old.there {
			return nil
		}
		now.deadline = at
	default:
		base, why := old.value, kv.OpError(0)
		if !old.there {
			base = "0"
		}
		if op.Kind == kv.OpAdd {
			now.value, why = kv.AddInteger(base, op.By)
		} else {
			now.value, why = kv.AddFloat(base, string(op.Value))
		}
		if why != 0 {
			return nil
		}
	}
	vals[op.Key] = now
	return nil
}
