package resp

import (
	"slices"
	"strings"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

func equalTo(key string, value []byte) kv.Check {
	return kv.Check{Kind: kv.CheckValue, Key: key, Value: append([]byte{}, value...)}
}

// releaseScript deletes a key that has a value. absent is the answer if there is no such key.
func releaseScript(absent int64) func(*call, []string, [][]byte) (plan, error) {
	return func(_ *call, keys []string, args [][]byte) (plan, error) {
		return plan{checks: []kv.Check{equalTo(keys[0], args[0])}, ops: []kv.Op{del(keys[0])}, render: func(b []byte, c *call, r *kv.PartResult) []byte {
			if r.Outcome == kv.CheckFailed && r.Current == nil {
				return wire.AppendInt(b, absent)
			}
			return renderDone(b, c, r)
		}}, nil
	}
}

// extendScript gives a key that has a value another TTL.
func extendScript(seconds bool) func(*call, []string, [][]byte) (plan, error) {
	return func(c *call, keys []string, args [][]byte) (plan, error) {
		n, ok := kv.ParseInteger(string(args[1]))
		if !ok {
			return plan{}, errNotInteger
		}
		if seconds {
			n = min(n, maxSeconds) * 1000
		}
		return c.extend(keys[0], args[0], n)
	}
}

const maxSeconds = 1 << 50 / 1000

// extend is the plan that gives key ms milliseconds if it has a value.
func (c *call) extend(key string, value []byte, ms int64) (plan, error) {
	p := plan{checks: []kv.Check{equalTo(key, value)}, render: renderDone}
	end := c.ending(ms, false)
	if end.past {
		p.ops = []kv.Op{del(key)}
		return p, nil
	}
	op, err := c.touch(key, end, 0)
	p.ops = []kv.Op{op}
	return p, err
}

func extendMoreScript(c *call, keys []string, args [][]byte) (plan, error) {
	n, ok := kv.ParseInteger(string(args[1]))
	if !ok {
		return plan{}, errNotInteger
	}
	old, err := c.get(keys[0])
	switch {
	case err != nil:
		return plan{}, err
	case !old.there || old.value != string(args[0]) || old.deadline == 0:
		return text(textZero), nil
	}
	if string(args[2]) == "0" {
		n += max(1, old.deadline-c.logTime())
	}
	return c.extend(keys[0], args[0], n)
}

func acquireScript(c *call, keys []string, args [][]byte) (plan, error) {
	n, ok := kv.ParseInteger(string(args[1]))
	if !ok || n < 1 {
		return plan{}, errNotInteger
	}
	old, err := c.get(keys[0])
	if err != nil {
		return plan{}, err
	}
	if old.there && old.value != string(args[0]) {
		return text(textZero), nil
	}
	op := put(keys[0], args[0])
	end := c.ending(n, false)
	end.set(&op)
	return plan{ops: []kv.Op{op}, render: renderDone}, nil
}

func leftScript(_ *call, keys []string, args [][]byte) (plan, error) {
	return plan{
		checks: []kv.Check{equalTo(keys[0], args[0])}, ops: []kv.Op{get(keys[0])},
		render: func(b []byte, c *call, r *kv.PartResult) []byte {
			if r.Outcome != kv.Committed {
				return wire.AppendInt(b, -3)
			}
			return wire.AppendInt(b, remaining("pttl", r.Ops[0].Entry, c.logTime(), c.distance()))
		},
	}, nil
}

// releaseOrNil is releaseScript that answers false, which is nil, where it does nothing.
func releaseOrNil(_ *call, keys []string, args [][]byte) (plan, error) {
	return plan{checks: []kv.Check{equalTo(keys[0], args[0])}, ops: []kv.Op{del(keys[0])}, render: func(b []byte, c *call, r *kv.PartResult) []byte {
		if r.Outcome != kv.Committed {
			return c.proto.Nil(b)
		}
		return append(b, textOne...)
	}}, nil
}

// leaseOp returns the put that gives key a value for ms milliseconds, as text has it.
func (c *call) leaseOp(key string, value, text []byte) (kv.Op, error) {
	ms, ok := kv.ParseInteger(string(text))
	if !ok || ms < 1 {
		return kv.Op{}, refusal("ERR invalid expire time in 'set' command")
	}
	op := put(key, value)
	end := c.ending(ms, false)
	end.set(&op)
	return op, nil
}

// obtainScript gives a key a value if it has none, or one that begins with the same bytes.
func obtainScript(c *call, keys []string, args [][]byte) (plan, error) {
	n, ok := kv.ParseInteger(string(args[1]))
	if !ok || n < 1 || int(n) > len(args[0]) {
		return plan{}, errNotInteger
	}
	op, err := c.leaseOp(keys[0], args[0], args[2])
	if err != nil {
		return plan{}, err
	}
	old, err := c.get(keys[0])
	if err != nil {
		return plan{}, err
	}
	if old.there && !strings.HasPrefix(old.value, string(args[0][:n])) {
		return text(c.proto.Nil(nil)), nil
	}
	return plan{ops: []kv.Op{op}, render: renderOK}, nil
}

// leases returns the puts that give all keys a value, and answers with their number.
func (c *call) leases(keys []string, value, ms []byte) (p plan, err error) {
	seen := make(map[string]bool)
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		op, err := c.leaseOp(key, value, ms)
		if err != nil {
			return p, err
		}
		p.ops = append(p.ops, op)
	}
	p.render = func(b []byte, _ *call, r *kv.PartResult) []byte {
		if r.Outcome != kv.Committed {
			return append(b, textZero...)
		}
		return wire.AppendInt(b, int64(len(keys)))
	}
	return p, nil
}

// lockAllScript gives all keys a value if none exists.
func lockAllScript(c *call, keys []string, args [][]byte) (plan, error) {
	p, err := c.leases(keys, args[0], args[1])
	for _, key := range keys {
		p.checks = append(p.checks, exists(key, 0))
	}
	return p, err
}

// extendAllScript gives all keys another TTL if all have a value.
func extendAllScript(c *call, keys []string, args [][]byte) (plan, error) {
	p, err := c.leases(keys, args[0], args[1])
	for _, key := range keys {
		p.checks = append(p.checks, equalTo(key, args[0]))
	}
	return p, err
}

// unlockAllScript deletes those keys that have a value, and answers with their number.
func unlockAllScript(c *call, keys []string, args [][]byte) (p plan, err error) {
	n := int64(0)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		v, err := c.get(key)
		if err != nil {
			return p, err
		}
		if v.there && v.value == string(args[0]) {
			n++
			p.ops = append(p.ops, del(key))
		}
	}
	if n == 0 {
		return text(textZero), nil
	}
	p.render = func(b []byte, _ *call, _ *kv.PartResult) []byte { return wire.AppendInt(b, n) }
	return p, nil
}
