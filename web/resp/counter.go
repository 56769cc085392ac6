package resp

import (
	"math"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

func compileIncr(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	by := int64(1)
	if len(c.args) > 2 {
		if by, err = c.integer(2); err != nil {
			return p, err
		}
	}
	if c.cmd.name == "decr" || c.cmd.name == "decrby" {
		if by == math.MinInt64 {
			return p, refusal("ERR decrement would overflow")
		}
		by = -by
	}
	return plan{ops: c.list(kv.Op{Kind: kv.OpAdd, Key: key, By: by}), render: renderSum}, nil
}

func renderSum(b []byte, c *call, r *kv.PartResult) []byte {
	e := r.Ops[0].Entry
	if c.cmd.name == "incrbyfloat" {
		return wire.AppendBulk(b, e.Value())
	}
	b = append(append(b, ':'), e.Value()...)
	return append(b, '\r', '\n')
}

func compileIncrByFloat(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	op := kv.Op{Kind: kv.OpAddFloat, Key: key, Value: c.args[2]}
	if _, why := kv.AddFloat("0", string(c.args[2])); why == kv.NotFloat {
		return p, errNotFloat
	}
	return plan{ops: c.list(op), render: renderSum}, nil
}
