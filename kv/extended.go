package kv

import "encoding/binary"

// What an extended command has after its checks: the reads, if flagReads is set, then the
// parts if flagParts is, and else the operations and, if flagElse is set, the else.
//
//	reads  a count; for each the key, and the revision as uvarint
//	parts  a count; for each a byte of flagElse and flagChecks, its checks, operations, else
//	op     the kind with opLeased, opDeadline and opKeepLease; the lease; the key; then
//	       put, touch  TTL as varint, or the deadline as uvarint; the value
//	       touch       beside these the condition, a byte
//	       add         what is added, as varint
//	       addfloat    what is added, as text
//
// Any other byte where one of these is expected is refused: a server that does not know it
// would do something else than those that do.

func appendExtended(b []byte, c *Command) []byte {
	if len(c.Reads) > 0 {
		b = binary.AppendUvarint(b, uint64(len(c.Reads)))
		for _, r := range c.Reads {
			b = binary.AppendUvarint(appendText(b, r.Key), uint64(r.Rev))
		}
	}
	if c.Parts == nil {
		b = appendExtendedOps(b, c.Ops)
		if c.HasElse {
			b = appendExtendedOps(b, c.Else)
		}
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(c.Parts)))
	for i := range c.Parts {
		b = appendPart(b, &c.Parts[i])
	}
	return b
}

func appendPart(b []byte, p *Part) []byte {
	var flags byte
	if p.HasElse {
		flags |= flagElse
	}
	if len(p.Checks) > 0 {
		flags |= flagChecks
	}
	b = append(b, flags)
	if len(p.Checks) > 0 {
		b = appendChecks(b, p.Checks)
	}
	b = appendExtendedOps(b, p.Ops)
	if p.HasElse {
		b = appendExtendedOps(b, p.Else)
	}
	return b
}

func appendExtendedOps(b []byte, ops []Op) []byte {
	b = binary.AppendUvarint(b, uint64(len(ops)))
	for i := range ops {
		b = appendExtendedOp(b, &ops[i])
	}
	return b
}

func appendExtendedOp(b []byte, op *Op) []byte {
	kind := byte(op.Kind)
	if op.Kind == OpPut && op.Lease != (LeaseID{}) {
		kind |= opLeased
	}
	if op.At != 0 {
		kind |= opDeadline
	}
	if op.KeepLease {
		kind |= opKeepLease
	}
	b = append(b, kind)
	if kind&opLeased != 0 {
		b = append(b, op.Lease[:]...)
	}
	b = appendText(b, op.Key)
	switch op.Kind {
	case OpAdd:
		return binary.AppendVarint(b, op.By)
	case OpAddFloat:
		return appendText(b, op.Value)
	case OpPut, OpTouch:
	default:
		return b
	}
	if op.At != 0 {
		b = binary.AppendUvarint(b, uint64(op.At))
	} else {
		b = binary.AppendVarint(b, ttlMillis(op.TTL))
	}
	if b = appendText(b, op.Value); op.Kind == OpTouch {
		b = append(b, byte(op.When))
	}
	return b
}

// extended reads what appendExtended wrote.
func (d *decoder) extended(flags byte, c *Command, form Form) {
	if flags&flagReads != 0 {
		for range d.count() {
			c.Reads = append(c.Reads, Read{d.text(), Rev(d.uvarint())})
		}
	}
	if flags&flagParts != 0 {
		c.Parts = make([]Part, d.count())
		for i := range c.Parts {
			d.part(&c.Parts[i], form)
		}
		return
	}
	c.Ops = d.extendedOps(c.Ops)
	if flags&flagElse != 0 {
		c.HasElse = true
		c.Else = d.extendedOps(c.Else)
	}
}

func (d *decoder) part(p *Part, form Form) {
	flags := d.byte()
	if flags&^(flagElse|flagChecks) != 0 {
		d.fail()
		return
	}
	if flags&flagChecks != 0 {
		p.Checks = d.checks(nil, form)
	}
	p.Ops = d.extendedOps(nil)
	if flags&flagElse != 0 {
		p.HasElse = true
		p.Else = d.extendedOps(nil)
	}
}

func (d *decoder) extendedOps(ops []Op) []Op {
	for range d.count() {
		ops = append(ops, d.extendedOp())
	}
	return ops
}

func (d *decoder) extendedOp() (op Op) {
	kind := d.byte()
	op.Kind = OpKind(kind &^ (opLeased | opDeadline | opKeepLease))
	ends := op.Kind == OpPut || op.Kind == OpTouch
	if kind&(opLeased|opKeepLease) != 0 && op.Kind != OpPut || kind&opDeadline != 0 && !ends {
		d.fail()
		return op
	}
	if op.KeepLease = kind&opKeepLease != 0; kind&opLeased != 0 {
		op.Lease = d.leaseID()
	}
	op.Key = d.text()
	switch {
	case ends:
		d.ending(kind, &op)
	case op.Kind == OpAdd:
		op.By = d.varint()
	case op.Kind == OpAddFloat:
		op.Value = d.blob()
	case op.Kind != OpDelete && op.Kind != OpGet:
		d.fail()
	}
	return op
}

// ending reads what a put or touch has after its key.
func (d *decoder) ending(kind byte, op *Op) {
	if kind&opDeadline != 0 {
		if op.At = int64(min(d.uvarint(), maxTime+1)); op.At == 0 || op.At > maxTime {
			d.fail()
		}
	} else {
		op.TTL = d.ttl()
	}
	if op.Value = d.blob(); op.Kind == OpTouch {
		op.When = TouchWhen(d.byte())
	}
	if op.validateTTL() != nil {
		d.fail()
	}
}
