package resp

import (
	"bytes"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

func compileExists(c *call) (p plan, err error) {
	p.ops, err = c.gets()
	p.meta, p.render = true, renderFound
	return p, err
}

// renderFound renders how many operations have an entry.
func renderFound(b []byte, _ *call, r *kv.PartResult) []byte {
	n := int64(0)
	for i := range r.Ops {
		if r.Ops[i].Entry != nil {
			n++
		}
	}
	return wire.AppendInt(b, n)
}

func compileType(c *call) (plan, error) {
	key, err := c.key(1)
	return plan{ops: []kv.Op{get(key)}, meta: true, render: func(b []byte, _ *call, r *kv.PartResult) []byte {
		if r.Ops[0].Entry == nil {
			return wire.AppendSimple(b, "none")
		}
		return wire.AppendSimple(b, "string")
	}}, err
}

func compileTTL(c *call) (plan, error) {
	key, err := c.key(1)
	return plan{ops: []kv.Op{get(key)}, meta: true, render: func(b []byte, c *call, r *kv.PartResult) []byte {
		return wire.AppendInt(b, remaining(c.cmd.name, r.Ops[0].Entry, c.logTime(), c.distance()))
	}}, err
}

func compileDel(c *call) (p plan, err error) {
	seen := make(map[string]struct{}, len(c.args)-1)
	for i := 1; i < len(c.args); i++ {
		key, err := c.key(i)
		if err != nil {
			return p, err
		}
		if _, again := seen[key]; !again {
			seen[key] = struct{}{}
			p.ops = append(p.ops, del(key))
		}
	}
	p.render = renderFound
	most := c.v.opts.Door.Limits().Ops
	switch {
	case len(p.ops) <= most:
		return p, nil
	case c.view != nil:
		return p, errTooMany
	case c.now:
		c.waits = true
		return p, nil
	}
	n, err := c.deleteMany(p.ops, most)
	return text(wire.AppendInt(nil, n)), err
}

// deleteMany deletes keys, in as many revisions as it takes, and returns how many there were.
func (c *call) deleteMany(ops []kv.Op, most int) (deleted int64, err error) {
	for len(ops) > 0 {
		n := min(most, len(ops))
		r, err := c.do(&kv.Command{Ops: ops[:n]})
		if err != nil {
			return deleted, err
		}
		for i := range r.Ops {
			if r.Ops[i].Entry != nil {
				deleted++
			}
		}
		ops = ops[n:]
	}
	return deleted, nil
}

func compileDelex(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	p = plan{ops: []kv.Op{del(key)}, render: renderFound}
	switch {
	case c.cmd.name == "delifeq":
		p.checks = []kv.Check{{Kind: kv.CheckValue, Key: key, Value: bytes.Clone(c.args[2])}}
	case len(c.args) == 4 && upper(c.args[2]) == "IFEQ":
		p.checks = []kv.Check{{Kind: kv.CheckValue, Key: key, Value: bytes.Clone(c.args[3])}}
	case len(c.args) == 4 && upper(c.args[2]) == "IFNE":
		p.checks = []kv.Check{{Kind: kv.CheckValueNot, Key: key, Value: bytes.Clone(c.args[3])}}
	case len(c.args) != 2:
		return p, errSyntax
	}
	return p, nil
}

func compileRename(c *call) (p plan, err error) {
	from, err := c.key(1)
	if err != nil {
		return p, err
	}
	to, err := c.key(2)
	if err != nil {
		return p, err
	}
	old, err := c.get(from)
	switch {
	case err != nil:
		return p, err
	case !old.there:
		return p, errNoKey
	}
	p = plan{ops: []kv.Op{del(from), moved(to, &old)}, render: renderOK}
	nx := c.cmd.name == "renamenx"
	if nx {
		p.checks, p.render = []kv.Check{exists(to, 0)}, renderDone
	}
	switch {
	case from != to:
	case nx:
		return text(textZero), nil
	default:
		return text(textOK), nil
	}
	return p, nil
}

// moved returns the put that gives key all that v is.
func moved(key string, v *val) kv.Op {
	op := put(key, []byte(v.value))
	op.At, op.Lease = v.deadline, v.lease
	return op
}

func compileCopy(c *call) (p plan, err error) {
	from, err := c.key(1)
	if err != nil {
		return p, err
	}
	to, err := c.key(2)
	if err != nil {
		return p, err
	}
	replace := false
	for i := 3; i < len(c.args); i++ {
		switch word := upper(c.args[i]); {
		case word == "REPLACE":
			replace = true
		case word == "DB" && i+1 < len(c.args):
			i++
			n, err := c.integer(i)
			if err != nil {
				return p, err
			}
			if n != 0 {
				return p, refusal("ERR DB index is out of range")
			}
		default:
			return p, errSyntax
		}
	}
	if from == to {
		return p, refusal("ERR source and destination objects are the same")
	}
	old, err := c.get(from)
	if err != nil || !old.there {
		return text(textZero), err
	}
	p = plan{ops: []kv.Op{moved(to, &old)}, render: renderDone}
	if !replace {
		p.checks = []kv.Check{exists(to, 0)}
	}
	return p, nil
}
