package resp

import (
	"slices"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

// A setting is what the options of SET say.
type setting struct {
	end      ending
	nx, xx   bool
	get      bool
	ifeq, ne []byte
	equal    bool
	unequal  bool
}

// options reads the options of SET from the i-th argument on.
func (c *call) options(i int, compares bool) (o setting, err error) {
	for ; i < len(c.args); i++ {
		word := upper(c.args[i])
		conditions := o.nx || o.xx || o.equal || o.unequal
		more := i+1 < len(c.args)
		switch {
		case word == "NX" && !conditions:
			o.nx = true
		case word == "XX" && !conditions:
			o.xx = true
		case word == "IFEQ" && !conditions && more && compares:
			i++
			o.ifeq, o.equal = c.args[i], true
		case word == "IFNE" && !conditions && more && compares:
			i++
			o.ne, o.unequal = c.args[i], true
		case word == "GET" && compares:
			o.get = true
		case word == "KEEPTTL" && !o.end.given && !o.end.keep:
			o.end.keep = true
		case isUnit(word):
			if o.end.given || o.end.keep || !more {
				return o, errSyntax
			}
			i++
			if o.end, err = c.expiry(word, c.args[i]); err != nil {
				return o, err
			}
		default:
			return o, errSyntax
		}
	}
	return o, nil
}

// check returns the condition of o on key.
func (o *setting) checks(key string) []kv.Check {
	switch {
	case o.nx:
		return []kv.Check{exists(key, 0)}
	case o.xx:
		return []kv.Check{exists(key, 1)}
	case o.equal:
		return []kv.Check{{Kind: kv.CheckValue, Key: key, Value: slices.Clone(o.ifeq)}}
	case o.unequal:
		return []kv.Check{{Kind: kv.CheckValueNot, Key: key, Value: slices.Clone(o.ne)}}
	}
	return nil
}

func compileSet(c *call) (plan, error) {
	key, err := c.key(1)
	if err != nil {
		return plan{}, err
	}
	if len(c.args[2]) > c.v.opts.Door.Limits().Value {
		return plan{}, refusal(c.v.tooLarge())
	}
	o, err := c.options(3, true)
	return c.setPlan(key, c.args[2], o), err
}

// setPlan returns what SET does.
func (c *call) setPlan(key string, value []byte, o setting) plan {
	op := put(key, value)
	o.end.set(&op)
	if o.end.past {
		op = del(key)
	}
	p := plan{checks: o.checks(key), render: renderOK}
	if p.ops = c.list(op); o.get {
		p.ops = c.list(get(key), op)
		if p.hasElse = len(p.checks) > 0; p.hasElse {
			p.otherwise = []kv.Op{get(key)}
		}
		p.render = renderValue
	} else if len(p.checks) > 0 {
		p.render = func(b []byte, c *call, r *kv.PartResult) []byte {
			if r.Outcome == kv.Committed {
				return append(b, textOK...)
			}
			return c.proto.Nil(b)
		}
	}
	return p
}

func compileSetNX(c *call) (plan, error) {
	key, err := c.key(1)
	return plan{checks: []kv.Check{exists(key, 0)}, ops: c.list(put(key, c.args[2])), render: renderDone}, err
}

func compileSetEX(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	unit := "EX"
	if c.cmd.name == "psetex" {
		unit = "PX"
	}
	end, err := c.expiry(unit, c.args[2])
	return c.setPlan(key, c.args[3], setting{end: end}), err
}

func compileGetSet(c *call) (plan, error) {
	key, err := c.key(1)
	return c.setPlan(key, c.args[2], setting{get: true}), err
}

func compileGetDel(c *call) (plan, error) {
	key, err := c.key(1)
	return plan{ops: c.list(get(key), del(key)), render: renderValue}, err
}

func compileGetEX(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	var end ending
	for i := 2; i < len(c.args); i++ {
		word := upper(c.args[i])
		switch {
		case word == "PERSIST" && !end.given && !end.persist:
			end.persist = true
		case isUnit(word) && !end.given && !end.persist && i+1 < len(c.args):
			i++
			if end, err = c.expiry(word, c.args[i]); err != nil {
				return p, err
			}
		default:
			return p, errSyntax
		}
	}
	p = plan{ops: []kv.Op{get(key)}, render: renderValue}
	switch {
	case end.past:
		p.ops = append(p.ops, del(key))
	case end.persist:
		op, err := c.touch(key, ending{given: true}, kv.TouchSome)
		p.ops = append(p.ops, op)
		return p, err
	case end.given:
		op, err := c.touch(key, end, 0)
		p.ops = append(p.ops, op)
		return p, err
	}
	return p, nil
}

// touch returns the operation that gives key another ending. One with a value that is not small
// takes it along.
func (c *call) touch(key string, end ending, when kv.TouchWhen) (kv.Op, error) {
	op := kv.Op{Kind: kv.OpTouch, Key: key, When: when}
	end.set(&op)
	if c.view != nil && c.view.wrote(key) {
		return op, nil
	}
	e, err := c.carry(key)
	if err != nil || e == nil || e.Size() < kv.SmallValue {
		return op, err
	}
	v, err := c.readAs(key, e)
	op.Value = []byte(v.value)
	return op, err
}

// pairs returns a put of each pair of arguments from the i-th on; the last of a key counts.
func (c *call) pairs(i, n int) (ops []kv.Op, err error) {
	if n > c.v.opts.Door.Limits().Ops {
		return nil, errTooMany
	}
	at := make(map[string]int, n)
	for range n {
		key, err := c.key(i)
		if err != nil {
			return nil, err
		}
		if had, ok := at[key]; ok {
			ops[had].Value = c.args[i+1]
		} else {
			at[key] = len(ops)
			ops = append(ops, put(key, c.args[i+1]))
		}
		i += 2
	}
	return ops, nil
}

func compileMSet(c *call) (p plan, err error) {
	if len(c.args)%2 == 0 {
		return p, wrongArity(c.cmd.name)
	}
	p.ops, err = c.pairs(1, len(c.args)/2)
	if p.render = renderOK; c.cmd.name == "msetnx" {
		for _, op := range p.ops {
			p.checks = append(p.checks, exists(op.Key, 0))
		}
		p.render = renderDone
	}
	return p, err
}

func msetexPlaces(args [][]byte) (places []int) {
	if len(args) < 2 {
		return nil
	}
	n, _ := kv.ParseInteger(string(args[1]))
	for i := 0; i < int(min(max(n, 0), wire.MaxArgs)) && 2+2*i+1 < len(args); i++ {
		places = append(places, 2+2*i)
	}
	return places
}

func compileMSetEX(c *call) (p plan, err error) {
	n, err := c.integer(1)
	if err != nil || n < 1 || n > wire.MaxArgs {
		return p, refusal("ERR invalid numkeys value")
	}
	if int(2+2*n) > len(c.args) {
		return p, wrongArity(c.cmd.name)
	}
	if p.ops, err = c.pairs(2, int(n)); err != nil {
		return p, err
	}
	o, err := c.options(int(2+2*n), false)
	if err != nil {
		return p, err
	}
	for i := range p.ops {
		key := p.ops[i].Key
		p.checks = append(p.checks, o.checks(key)...)
		if o.end.set(&p.ops[i]); o.end.past {
			p.ops[i] = del(key)
		}
	}
	p.render = renderDone
	return p, nil
}
