package kv

import "encoding/binary"

// The outcome of an extended command is laid out as a packed one is, with outcomeExtended in
// place of outcomePacked, and has more: an OpError after the numbers; behind each operation
// its OpError and, unless that is set, 1 and its value if that is small, else 0; and behind
// the operations the parts: a count, and for each its outcome, the index that failed, the
// version that stood there and its operations.
//
// So the sum that a request was told stays known, whatever the key is by the time it is
// repeated.

func appendExtendedOutcome(b []byte, r *Result) []byte {
	w := outcomeWriter{base: r.At.Rev}
	b = appendNumbers(append(b, byte(r.Outcome)|outcomeExtended), r)
	b = append(b, byte(r.Why))
	b = w.version(b, r.Current)
	b = w.extendedOps(b, r.Ops)
	b = binary.AppendUvarint(b, uint64(len(r.Parts)))
	for i := range r.Parts {
		p := &r.Parts[i]
		b = binary.AppendUvarint(append(b, byte(p.Outcome)), uint64(p.Failed))
		b = w.version(b, p.Current)
		b = w.extendedOps(b, p.Ops)
	}
	return b
}

func (w *outcomeWriter) extendedOps(b []byte, ops []OpResult) []byte {
	b = binary.AppendUvarint(b, uint64(len(ops)))
	for i := range ops {
		b = w.version(b, ops[i].Entry)
		b = append(b, byte(ops[i].Why))
		if ops[i].Why != 0 {
			continue
		}
		if e := ops[i].Entry; e != nil && !e.Deleted() && e.Size() < SmallValue {
			b = appendText(append(b, 1), e.Value())
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// extended reads what appendExtendedOutcome wrote.
func (o *outcomeReader) extended(r *Result) {
	r.Outcome = Outcome(o.byte() &^ outcomeExtended)
	o.outcomeNumbers(r)
	o.base = r.At.Rev
	r.Why = OpError(o.byte())
	r.Current = o.version(o.byte())
	r.Ops = o.extendedOps()
	if n := o.count(); n > 0 {
		r.Parts = make([]PartResult, n)
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		p.Outcome, p.Failed = Outcome(o.byte()), int(o.uvarint())
		p.Current = o.version(o.byte())
		p.Ops = o.extendedOps()
	}
}

func (o *outcomeReader) extendedOps() []OpResult {
	ops := make([]OpResult, o.count())
	for i := range ops {
		e := o.version(o.byte())
		ops[i] = OpResult{Entry: e, NoValue: e != nil && !e.Deleted(), Why: OpError(o.byte())}
		if ops[i].Why != 0 || o.byte() == 0 {
			continue
		}
		if value := o.text(); e != nil {
			ops[i].Entry, ops[i].NoValue = e.with(value, TierMemory, false), false
		} else {
			o.fail()
		}
	}
	return ops
}
