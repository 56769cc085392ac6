package resp

import (
	"keywatch/kv"
	"keywatch/web/resp/wire"
)

func compileGet(c *call) (plan, error) {
	key, err := c.key(1)
	return plan{ops: c.list(get(key)), value: true, render: renderValue}, err
}

func compileMGet(c *call) (p plan, err error) {
	p.ops, err = c.gets()
	p.render = func(b []byte, c *call, r *kv.PartResult) []byte {
		b = wire.AppendArray(b, len(r.Ops))
		for i := range r.Ops {
			b = c.appendValue(b, &r.Ops[i])
		}
		return b
	}
	return p, err
}

// gets returns a get of every key among the arguments.
func (c *call) gets() (ops []kv.Op, err error) {
	if len(c.args)-1 > c.v.opts.Door.Limits().Ops {
		return nil, errTooMany
	}
	for i := 1; i < len(c.args); i++ {
		key, err := c.key(i)
		if err != nil {
			return nil, err
		}
		ops = append(ops, get(key))
	}
	return ops, nil
}

func compileStrlen(c *call) (plan, error) {
	key, err := c.key(1)
	return plan{ops: []kv.Op{get(key)}, meta: true, render: func(b []byte, _ *call, r *kv.PartResult) []byte {
		if e := r.Ops[0].Entry; e != nil {
			return wire.AppendInt(b, int64(e.Size()))
		}
		return append(b, textZero...)
	}}, err
}

func compileGetRange(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	from, err := c.integer(2)
	if err != nil {
		return p, err
	}
	to, err := c.integer(3)
	p.ops = []kv.Op{get(key)}
	p.render = func(b []byte, c *call, r *kv.PartResult) []byte {
		if r.Ops[0].Entry == nil {
			return wire.AppendBulk(b, "")
		}
		if r.Ops[0].NoValue {
			return c.appendValue(b, &r.Ops[0])
		}
		return wire.AppendBulk(b, part(r.Ops[0].Entry.Value(), from, to))
	}
	return p, err
}

// part returns the bytes of s from one to another, both included; negative counts from the end.
func part(s string, from, to int64) string {
	n := int64(len(s))
	if from < 0 && to < 0 && from > to {
		return ""
	}
	if from < 0 {
		from = max(0, n+from)
	}
	if to < 0 {
		to = max(0, n+to)
	}
	if to = min(to, n-1); from > to || n == 0 {
		return ""
	}
	return s[from : to+1]
}

// maxValue returns a refusal if n bytes are too many for a value.
func (c *call) maxValue(n int64) error {
	if n > int64(c.v.opts.Door.Limits().Value) {
		return refusal(c.v.tooLarge())
	}
	return nil
}

// rewrite returns the plan that sets key to value and leaves its ending, and answers with its
// length.
func rewrite(key, value string) plan {
	op := put(key, []byte(value))
	op.TTL, op.KeepLease = kv.KeepTTL, true
	return plan{ops: []kv.Op{op}, render: func(b []byte, _ *call, _ *kv.PartResult) []byte {
		return wire.AppendInt(b, int64(len(value)))
	}}
}

func compileAppend(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	old, err := c.get(key)
	if err != nil {
		return p, err
	}
	if err := c.maxValue(int64(len(old.value) + len(c.args[2]))); err != nil {
		return p, err
	}
	return rewrite(key, old.value+string(c.args[2])), nil
}

func compileSetRange(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	offset, err := c.integer(2)
	if err != nil {
		return p, err
	}
	if offset < 0 {
		return p, refusal("ERR offset is out of range")
	}
	old, err := c.get(key)
	if err != nil {
		return p, err
	}
	if len(c.args[3]) == 0 {
		return text(wire.AppendInt(nil, int64(len(old.value)))), nil
	}
	if offset > wire.MaxArg || c.maxValue(offset+int64(len(c.args[3]))) != nil {
		return p, refusal(c.v.tooLarge())
	}
	value := make([]byte, max(len(old.value), int(offset)+len(c.args[3])))
	copy(value, old.value)
	copy(value[offset:], c.args[3])
	return rewrite(key, string(value)), nil
}
