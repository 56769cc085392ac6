package resp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"keywatch/kv"
	"keywatch/web/api"
	"keywatch/web/resp/wire"
)

// rev reads a revision: a number, or the text of an ETag.
func (c *call) rev(text []byte) (uint64, error) {
	if n, err := strconv.ParseUint(string(text), 10, 64); err == nil {
		return n, nil
	}
	tag := string(bytes.Trim(bytes.TrimPrefix(text, []byte("W/")), `"`))
	at, err := kv.ParsePosition(tag)
	if err != nil {
		return 0, errNotInteger
	}
	if at.Epoch != c.v.opts.Door.Position().Epoch {
		return kv.NeverRev, nil
	}
	return uint64(at.Rev), nil
}

func compileKWGet(c *call) (plan, error) {
	key, err := c.key(1)
	return plan{ops: []kv.Op{get(key)}, render: func(b []byte, c *call, r *kv.PartResult) []byte {
		e := r.Ops[0].Entry
		if e == nil {
			return c.proto.Nil(b)
		}
		return c.appendEntry(b, e, &r.Ops[0])
	}}, err
}

func (c *call) appendEntry(b []byte, e *kv.Entry, did *kv.OpResult) []byte {
	b = c.proto.Map(b, 7)
	b = c.appendValue(wire.AppendBulk(b, "value"), did)
	b = wire.AppendInt(wire.AppendBulk(b, "rev"), int64(e.Mod))
	b = wire.AppendInt(wire.AppendBulk(b, "create_rev"), int64(e.Create))
	b = wire.AppendInt(wire.AppendBulk(b, "version"), int64(e.Version))
	b = wire.AppendInt(wire.AppendBulk(b, "ttl_ms"), remaining("pttl", e, c.logTime(), c.distance()))
	b = wire.AppendBulk(b, "lease")
	if id := e.Lease(); id != (kv.LeaseID{}) {
		b = wire.AppendBulk(b, id.String())
	} else {
		b = c.proto.Nil(b)
	}
	return wire.AppendBulk(wire.AppendBulk(b, "tier"), e.Tier().String())
}

// renderSwap renders [1, rev, version] of what was written, or [0, rev, version] of what
// stands there.
func renderSwap(b []byte, _ *call, r *kv.PartResult) []byte {
	done, e := int64(0), r.Current
	if r.Outcome == kv.Committed {
		done, e = 1, nil
		if len(r.Ops) > 0 {
			e = r.Ops[0].Entry
		}
	}
	b = wire.AppendInt(wire.AppendArray(b, 3), done)
	if e == nil {
		return append(append(b, textZero...), textZero...)
	}
	return wire.AppendInt(wire.AppendInt(b, int64(e.Mod)), int64(e.Version))
}

func compileCAS(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	rev, err := c.rev(c.args[2])
	if err != nil {
		return p, err
	}
	op := put(key, c.args[3])
	for i := 4; i < len(c.args); i++ {
		switch word := upper(c.args[i]); {
		case word == "PX" && i+1 < len(c.args):
			i++
			end, err := c.expiry("PX", c.args[i])
			if err != nil {
				return p, err
			}
			end.set(&op)
		case word == "KEEPTTL":
			op.TTL = kv.KeepTTL
		case word == "LEASE" && i+1 < len(c.args):
			i++
			if op.Lease, err = kv.ParseLeaseID(string(c.args[i])); err != nil {
				return p, refusal("ERR bad lease")
			}
		default:
			return p, errSyntax
		}
	}
	check := kv.Check{Kind: kv.CheckRev, Key: key, N: rev}
	return plan{checks: []kv.Check{check}, ops: []kv.Op{op}, render: renderSwap}, nil
}

func compileCAD(c *call) (p plan, err error) {
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	rev, err := c.rev(c.args[2])
	check := kv.Check{Kind: kv.CheckRev, Key: key, N: rev}
	return plan{checks: []kv.Check{check}, ops: []kv.Op{del(key)}, render: renderSwap}, err
}

const errOnlyMulti refusal = "ERR this command is a condition of a transaction: send it after MULTI"

func compileCheck(c *call) (p plan, err error) {
	if c.view == nil {
		return p, errOnlyMulti
	}
	key, err := c.key(1)
	if err != nil {
		return p, err
	}
	k := kv.Check{Key: key}
	word, more := upper(c.args[2]), len(c.args) == 4
	switch {
	case word == "EXISTS" && !more:
		k.Kind, k.N = kv.CheckExists, 1
	case word == "ABSENT" && !more:
		k.Kind = kv.CheckExists
	case word == "VALUE" && more:
		k.Kind, k.Value = kv.CheckValue, bytes.Clone(c.args[3])
	case word == "REV" && more:
		k.Kind = kv.CheckRev
		k.N, err = c.rev(c.args[3])
	case (word == "CREATE" || word == "VERSION") && more:
		if k.Kind = kv.CheckCreate; word == "VERSION" {
			k.Kind = kv.CheckVersion
		}
		if k.N, err = strconv.ParseUint(string(c.args[3]), 10, 64); err != nil {
			err = errNotInteger
		}
	default:
		return p, errSyntax
	}
	return plan{whole: []kv.Check{k}, text: textOK}, err
}

func compileFence(c *call) (p plan, err error) {
	if c.view == nil {
		return p, errOnlyMulti
	}
	token, err := c.integer(2)
	if err != nil || token < 1 || !kv.LockName(string(c.args[1])) {
		return p, refusal("ERR expected the name of a lock and its token")
	}
	return plan{fences: []kv.Fence{{Lock: string(c.args[1]), Token: kv.Rev(token)}}, text: textOK}, nil
}

func compileIdem(c *call) (p plan, err error) {
	if c.view == nil {
		return p, errOnlyMulti
	}
	if err := api.CheckIdemKey("KW.IDEM", string(c.args[1])); err != nil {
		return p, err
	}
	return plan{idem: string(c.args[1]), text: textOK}, nil
}

// idemOf makes a transaction repeatable: its fingerprint is what was queued.
func (c *call) idemOf(key string, all []queued) kv.Idem {
	h := sha256.New()
	var n [8]byte
	for _, q := range all {
		binary.LittleEndian.PutUint64(n[:], uint64(len(q.args)))
		h.Write(n[:])
		for _, a := range q.args {
			binary.LittleEndian.PutUint64(n[:], uint64(len(a)))
			h.Write(n[:])
			h.Write(a)
		}
	}
	id := kv.Idem{Scope: c.s.view().User(), Caller: c.s.account(), Key: key}
	copy(id.Fingerprint[:], h.Sum(nil))
	return id
}

func compileHolder(c *call) (plan, error) {
	if !kv.LockName(string(c.args[1])) {
		return plan{}, refusal("ERR bad name of a lock")
	}
	key := kv.LockKey(string(c.args[1]))
	return plan{ops: []kv.Op{get(key)}, render: func(b []byte, c *call, r *kv.PartResult) []byte {
		e := r.Ops[0].Entry
		if e == nil {
			return c.proto.Nil(b)
		}
		b = c.proto.Map(b, 3)
		b = c.appendValue(wire.AppendBulk(b, "owner"), &r.Ops[0])
		b = wire.AppendInt(wire.AppendBulk(b, "token"), int64(e.Create))
		return wire.AppendBulk(wire.AppendBulk(b, "lease"), e.Lease().String())
	}}, nil
}

// ttlArg reads a time to live in milliseconds.
func (c *call) ttlArg(i int) (time.Duration, error) {
	n, err := c.integer(i)
	if err != nil {
		return 0, err
	}
	if n < 1 || n > kv.MaxTTL.Milliseconds() {
		return 0, kv.ErrBadTTL
	}
	return time.Duration(n) * time.Millisecond, nil
}
