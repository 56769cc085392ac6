package kv

import "encoding/binary"

// plainLeased marks the kind of a version whose lease is named after it.
const plainLeased = 0x80

// appendPlainOutcome appends r in the layout without packing.
func appendPlainOutcome(b []byte, r *Result) []byte {
	b = appendNumbers(append(b, byte(r.Outcome)), r)
	b = appendPlainVersion(b, r.Current)
	b = binary.AppendUvarint(b, uint64(len(r.Ops)))
	for i := range r.Ops {
		b = appendPlainVersion(b, r.Ops[i].Entry)
	}
	return appendOutcomeLease(b, r.Lease)
}

// appendPlainVersion appends all that an entry is but for its value; nil is 0.
func appendPlainVersion(b []byte, e *Entry) []byte {
	if e == nil {
		return append(b, 0)
	}
	at := len(b)
	b = append(b, 1+byte(e.kind))
	b = appendUvarints(b, uint64(e.Mod), uint64(e.Create), e.Version, uint64(e.Deadline()))
	if l := e.lease(); l != nil {
		b[at] |= plainLeased
		b = append(b, l.id[:]...)
	}
	return b
}

// plainOutcome reads what appendPlainOutcome wrote.
func (d *decoder) plainOutcome(r *Result) {
	r.Outcome = Outcome(d.byte())
	d.outcomeNumbers(r)
	r.Current = d.plainVersion()
	r.Ops = make([]OpResult, d.count())
	for i := range r.Ops {
		e := d.plainVersion()
		r.Ops[i] = OpResult{Entry: e, NoValue: e != nil && !e.Deleted()}
	}
	d.outcomeLease(r)
}

func (d *decoder) plainVersion() *Entry {
	kind := d.byte()
	leased := kind&plainLeased != 0
	kind &^= plainLeased
	if kind == 0 || kind > 1+byte(kindLease) {
		if kind != 0 {
			d.fail()
		}
		return nil
	}
	e := &Entry{
		kind: entryKind(kind - 1), Mod: Rev(d.uvarint()), Create: Rev(d.uvarint()),
		Version: d.uvarint(),
	}
	deadline := int64(d.uvarint())
	var l *lease
	if leased {
		l = &lease{id: d.leaseID()}
	}
	e.end = newEnd(deadline, l)
	return e
}
