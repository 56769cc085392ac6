package kv

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
)

// An idemTable holds the outcomes of requests that carried an idempotency key,
// in the order in which they were made and so will expire.
type idemTable struct {
	byKey   map[idemKey]*idemRecord
	callers map[string]int
	// queue holds the records from sequence number first on; saved is the first
	// that no checkpoint has.
	queue       []*idemRecord
	first, next uint64
	saved       uint64
}

type idemKey struct{ caller, key string }

type idemRecord struct {
	id          idemKey
	fingerprint [16]byte
	expires     int64
	outcome     []byte
}

func newIdemTable() idemTable {
	return idemTable{byKey: make(map[idemKey]*idemRecord), callers: make(map[string]int)}
}

// replayLocked answers a command whose idempotency key is known, or that cannot
// be given a record. It returns false if the command is to run.
func (s *State) replayLocked(c *Command, r *Result) bool {
	m := &s.mu.machine
	known, ok := m.idem.byKey[idemKey{c.Idem.Caller, c.Idem.Key}]
	switch {
	case !ok && len(m.idem.byKey) >= m.params.IdemMax:
		r.Outcome = IdemFull
	case !ok && m.idem.callers[c.Idem.Caller] >= m.params.IdemPerCaller:
		r.Outcome = IdemCallerFull
	case !ok:
		return false
	case known.fingerprint != c.Idem.Fingerprint:
		r.Outcome = IdemMismatch
	default:
		d := decoder{b: known.outcome}
		d.result(r)
		if c.Lock != nil && c.Lock.Kind == LockAcquire && r.Lease != nil {
			s.replayAcquireLocked(r)
		} else {
			s.fillValuesLocked(c, r)
		}
		r.Replayed = true
	}
	return true
}

// fillValuesLocked gives the entries of a replayed result their values where
// the key still has that version.
func (s *State) fillValuesLocked(c *Command, r *Result) {
	ops := c.Ops
	if r.Outcome == ElseRan {
		ops = c.Else
	}
	for i := range r.Ops {
		did := &r.Ops[i]
		if did.Entry == nil || did.Entry.Deleted() || i >= len(ops) {
			continue
		}
		if e := s.currentLocked(ops[i].Key); e != nil && e.Mod == did.Entry.Mod {
			did.Entry, did.NoValue = e, false
		}
	}
	if r.Current == nil {
		return
	}
	r.CurrentNoValue = true
	if e := s.currentLocked(failedKey(c, r)); e != nil && e.Mod == r.Current.Mod {
		r.Current, r.CurrentNoValue = e, false
	}
}

// keep remembers r as the outcome of the request id.
func (t *idemTable) keep(id Idem, r *Result, m *machine) {
	if !r.Outcome.kept() {
		return
	}
	at := *r
	at.At.Rev = m.rev
	rec := &idemRecord{
		id:          idemKey{strings.Clone(id.Caller), strings.Clone(id.Key)},
		fingerprint: id.Fingerprint,
		expires:     m.time + m.params.IdemAge.Milliseconds(),
		outcome:     appendResult(nil, &at),
	}
	t.add(rec)
}

func (t *idemTable) add(rec *idemRecord) {
	t.byKey[rec.id] = rec
	t.callers[rec.id.caller]++
	t.queue = append(t.queue, rec)
	t.next++
}

// expire drops the records that have ended at log time now.
func (t *idemTable) expire(now int64) {
	n := 0
	for n < len(t.queue) && t.queue[n].expires <= now {
		rec := t.queue[n]
		t.queue[n] = nil
		delete(t.byKey, rec.id)
		if t.callers[rec.id.caller]--; t.callers[rec.id.caller] == 0 {
			delete(t.callers, rec.id.caller)
		}
		n++
	}
	t.queue = t.queue[n:]
	t.first += uint64(n)
}

// unsaved returns the records that no checkpoint has and the sequence number of
// the first.
func (t *idemTable) unsaved() (uint64, []*idemRecord) {
	from := max(t.saved, t.first)
	return from, t.queue[from-t.first:]
}

// The bytes of an idempotency record: expiry, caller, key, fingerprint, outcome,
// and the CRC-32C of its sequence number and all of these, little-endian.
func (rec *idemRecord) appendTo(b []byte, seq uint64) []byte {
	start := len(b)
	b = binary.AppendUvarint(b, uint64(rec.expires))
	b = appendText(b, rec.id.caller)
	b = appendText(b, rec.id.key)
	b = append(b, rec.fingerprint[:]...)
	b = appendText(b, rec.outcome)
	return binary.LittleEndian.AppendUint32(b, idemSum(seq, b[start:]))
}

func idemSum(seq uint64, b []byte) uint32 {
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], seq)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, b)
}

func parseIdemRecord(seq uint64, b []byte) (*idemRecord, bool) {
	end := len(b) - 4
	if end < 0 || binary.LittleEndian.Uint32(b[end:]) != idemSum(seq, b[:end]) {
		return nil, false
	}
	d := decoder{b: slices.Clone(b[:end])}
	rec := &idemRecord{expires: int64(d.uvarint())}
	rec.id = idemKey{d.text(), d.text()}
	copy(rec.fingerprint[:], d.bytes(uint64(len(rec.fingerprint))))
	rec.outcome = d.blob()
	check := decoder{b: rec.outcome}
	check.result(new(Result))
	return rec, !d.bad && len(d.b) == 0 && !check.bad && len(check.b) == 0
}

// appendResult appends a result as codes and numbers, without values.
func appendResult(b []byte, r *Result) []byte {
	b = append(b, byte(r.Outcome))
	for _, v := range [...]uint64{
		uint64(r.Rev), uint64(r.Failed), uint64(r.Deleted), uint64(r.At.Epoch), uint64(r.At.Rev),
	} {
		b = binary.AppendUvarint(b, v)
	}
	b = appendNumbers(b, r.Current)
	b = binary.AppendUvarint(b, uint64(len(r.Ops)))
	for _, did := range r.Ops {
		b = appendNumbers(b, did.Entry)
	}
	if r.Lease != nil {
		b = append(b, r.Lease.ID[:]...)
		b = binary.AppendUvarint(b, uint64(r.Lease.TTL))
		b = binary.AppendUvarint(b, uint64(r.Lease.Deadline))
		b = binary.AppendUvarint(b, uint64(r.Lease.Token))
	}
	return b
}

func (d *decoder) result(r *Result) {
	r.Outcome = Outcome(d.byte())
	r.Rev, r.Failed, r.Deleted = Rev(d.uvarint()), int(d.uvarint()), int(d.uvarint())
	r.At = Position{Epoch(d.uvarint()), Rev(d.uvarint())}
	r.Current = d.numbers()
	n := d.count()
	r.Ops = make([]OpResult, n)
	for i := range r.Ops {
		e := d.numbers()
		r.Ops[i] = OpResult{Entry: e, NoValue: e != nil && !e.Deleted()}
	}
	if len(d.b) > 0 {
		r.Lease = &LeaseInfo{
			ID: d.leaseID(), TTL: int64(d.uvarint()), Deadline: int64(d.uvarint()), Token: Rev(d.uvarint()),
		}
	}
}

// appendNumbers appends what an entry is but for its value; nil is 0.
func appendNumbers(b []byte, e *Entry) []byte {
	if e == nil {
		return append(b, 0)
	}
	kind := 1 + byte(e.kind)
	if e.lease() != nil {
		kind |= numbersLeased
	}
	b = append(b, kind)
	for _, v := range [...]uint64{uint64(e.Mod), uint64(e.Create), e.Version, uint64(e.Deadline())} {
		b = binary.AppendUvarint(b, v)
	}
	if e.lease() != nil {
		b = append(b, e.end.lease.id[:]...)
	}
	return b
}

// numbersLeased marks the kind of an entry whose lease is named after it.
const numbersLeased = 0x80

// end reads a deadline and, if there is one, the name of a lease.
func (d *decoder) end(leased bool) *end {
	at := int64(d.uvarint())
	if !leased {
		return newEnd(at, nil)
	}
	return newEnd(at, &lease{id: d.leaseID()})
}

func (d *decoder) numbers() *Entry {
	kind := d.byte()
	leased := kind&numbersLeased != 0
	kind &^= numbersLeased
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
	e.end = d.end(leased)
	return e
}
