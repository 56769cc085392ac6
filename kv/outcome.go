package kv

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// The outcome of a request, as an idempotency record keeps it: codes and numbers,
// without keys and values. One of more than plainOps operations is packed:
//
//	byte    Outcome, with outcomePacked set
//	uvarint Rev, Failed, Deleted, epoch and revision of At
//	version Current
//	uvarint number of operations
//	version of each operation, runs of equal ones folded
//	lease   16 bytes, uvarint TTL, deadline, token; only if the result has one
//
// A version is a byte, 0 for none, else 1 and its kind with flags. Then come: how far
// its revision is below that of At, the distance from there to its creation and its
// version number unless versionFresh is set, its deadline if versionEnds is set, and
// if versionLeased is set the place of its lease among those that came before,
// counted from 1, or 0 and the lease. So a batch of a thousand reads of one key takes
// a few dozen bytes, and one of different keys about ten for each.
//
// Others are plain, which the release before this one reads too: the same numbers, and
// each version is its kind, four numbers, and the lease if it names one.
const (
	// plainOps is how many operations an outcome may have whose versions are not packed:
	// so few take little more so, and what most requests make can be read by the release
	// before.
	plainOps = 4

	outcomePacked = 0x80
	// outcomeExtended is set in that of an extended command: see appendExtendedOutcome.
	outcomeExtended = 0x40

	versionEnds   = 0x10
	versionLeased = 0x20
	versionFresh  = 0x40 // created by this change
	// versionAgain stands in place of a version: the one before, as many times again
	// as the uvarint after it says.
	versionAgain = 0x0f
)

// maxOutcomeOps bounds the operations of an outcome that is read, so that a short
// text of runs cannot ask for much memory.
const maxOutcomeOps = 1 << 24

// recentLeases is how many leases are looked at for one that is named again.
const recentLeases = 16

// An outcomeWriter writes the versions of one outcome.
type outcomeWriter struct {
	// base is what revisions are counted down from.
	base   Rev
	leases []LeaseID
	// last is how the version written last reads, next how the next one does.
	last, next []byte
}

// appendOutcome appends r as an idempotency record keeps it.
func appendOutcome(b []byte, r *Result) []byte {
	if len(r.Ops) <= plainOps {
		return appendPlainOutcome(b, r)
	}
	w := outcomeWriter{base: r.At.Rev}
	b = append(b, byte(r.Outcome)|outcomePacked)
	b = appendNumbers(b, r)
	b = w.version(b, r.Current)
	b = w.ops(binary.AppendUvarint(b, uint64(len(r.Ops))), r.Ops)
	return appendOutcomeLease(b, r.Lease)
}

// appendNumbers appends what an outcome begins with in both layouts.
func appendNumbers(b []byte, r *Result) []byte {
	return appendUvarints(b, uint64(r.Rev), uint64(r.Failed), uint64(r.Deleted), uint64(r.At.Epoch), uint64(r.At.Rev))
}

// appendOutcomeLease appends the lease that an outcome ends with, which may be nil.
func appendOutcomeLease(b []byte, l *LeaseInfo) []byte {
	if l == nil {
		return b
	}
	return appendUvarints(append(b, l.ID[:]...), uint64(l.TTL), uint64(l.Deadline), uint64(l.Token))
}

func appendUvarints(b []byte, all ...uint64) []byte {
	for _, v := range all {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// ops appends the versions of operations. Versions that read alike are equal in all
// that an answer shows.
func (w *outcomeWriter) ops(b []byte, ops []OpResult) []byte {
	again := uint64(0)
	for i := range ops {
		w.next = w.version(w.next[:0], ops[i].Entry)
		if i > 0 && bytes.Equal(w.next, w.last) {
			again++
			continue
		}
		b = append(appendAgain(b, again), w.next...)
		w.last, w.next, again = w.next, w.last, 0
	}
	return appendAgain(b, again)
}

// appendAgain says that the version before stands n times more.
func appendAgain(b []byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, versionAgain), n)
}

func (w *outcomeWriter) version(b []byte, e *Entry) []byte {
	if e == nil {
		return append(b, 0)
	}
	at := len(b)
	b = append(b, 1+byte(e.kind))
	b = binary.AppendUvarint(b, uint64(w.base-e.Mod))
	if e.Create == e.Mod && e.Version == 1 {
		b[at] |= versionFresh
	} else {
		b = appendUvarints(b, uint64(e.Mod-e.Create), e.Version)
	}
	if deadline := e.Deadline(); deadline != 0 {
		b[at] |= versionEnds
		b = binary.AppendUvarint(b, uint64(deadline))
	}
	if l := e.lease(); l != nil {
		b[at] |= versionLeased
		b = w.lease(b, l.id)
	}
	return b
}

func (w *outcomeWriter) lease(b []byte, id LeaseID) []byte {
	from := max(0, len(w.leases)-recentLeases)
	if i := slices.Index(w.leases[from:], id); i >= 0 {
		return binary.AppendUvarint(b, uint64(from+i+1))
	}
	w.leases = append(w.leases, id)
	return append(append(b, 0), id[:]...)
}

// An outcomeReader reads one outcome.
type outcomeReader struct {
	*decoder
	base   Rev
	leases []*lease
}

// outcome reads what appendOutcome, or a release before it, has written.
func (d *decoder) outcome(r *Result) {
	if len(d.b) > 0 && d.b[0]&(outcomePacked|outcomeExtended) == 0 {
		d.plainOutcome(r)
		return
	}
	o := outcomeReader{decoder: d}
	if len(d.b) > 0 && d.b[0]&outcomeExtended != 0 {
		o.extended(r)
		return
	}
	r.Outcome = Outcome(d.byte() &^ outcomePacked)
	d.outcomeNumbers(r)
	o.base = r.At.Rev
	r.Current = o.version(d.byte())
	r.Ops = o.ops()
	d.outcomeLease(r)
}

// outcomeNumbers reads what appendNumbers wrote.
func (d *decoder) outcomeNumbers(r *Result) {
	r.Rev, r.Failed, r.Deleted = Rev(d.uvarint()), int(d.uvarint()), int(d.uvarint())
	r.At = Position{Epoch(d.uvarint()), Rev(d.uvarint())}
}

// ops reads the versions of operations.
func (o *outcomeReader) ops() []OpResult {
	n := o.uvarint()
	if n > maxOutcomeOps {
		o.fail()
	}
	ops := make([]OpResult, 0, min(n, uint64(len(o.b))))
	for uint64(len(ops)) < n && !o.bad {
		kind := o.byte()
		if kind != versionAgain {
			e := o.version(kind)
			ops = append(ops, OpResult{Entry: e, NoValue: e != nil && !e.Deleted()})
			continue
		}
		again := o.uvarint()
		if len(ops) == 0 || again > n-uint64(len(ops)) {
			o.fail()
			break
		}
		ops = append(ops, slices.Repeat(ops[len(ops)-1:], int(again))...)
	}
	return ops
}

// version reads the rest of a version that begins with kind.
func (o *outcomeReader) version(kind byte) *Entry {
	plain := kind & 0x0f
	if plain == 0 || plain > 1+byte(kindLease) {
		if kind != 0 {
			o.fail()
		}
		return nil
	}
	e := &Entry{kind: entryKind(plain - 1), Mod: o.base - Rev(o.uvarint()), Version: 1}
	e.Create = e.Mod
	if kind&versionFresh == 0 {
		e.Create, e.Version = e.Mod-Rev(o.uvarint()), o.uvarint()
	}
	var deadline int64
	if kind&versionEnds != 0 {
		deadline = int64(o.uvarint())
	}
	var l *lease
	if kind&versionLeased != 0 {
		l = o.lease()
	}
	e.end = newEnd(deadline, l)
	return e
}

func (o *outcomeReader) lease() *lease {
	i := o.uvarint()
	if i == 0 {
		o.leases = append(o.leases, &lease{id: o.leaseID()})
		i = uint64(len(o.leases))
	}
	if i > uint64(len(o.leases)) {
		o.fail()
		return nil
	}
	return o.leases[i-1]
}

// outcomeLease reads the lease that an outcome may end with.
func (d *decoder) outcomeLease(r *Result) {
	if len(d.b) > 0 {
		r.Lease = &LeaseInfo{
			ID: d.leaseID(), TTL: int64(d.uvarint()), Deadline: int64(d.uvarint()), Token: Rev(d.uvarint()),
		}
	}
}
