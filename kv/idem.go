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
	callers map[string]*idemCaller
	// bytes is what all records take in memory.
	bytes int64
	// queue holds the records from sequence number first on; saved is the first
	// that no checkpoint has.
	queue       []*idemRecord
	first, next uint64
	saved       uint64
	// scratch is where the next outcome is encoded.
	scratch []byte
	// most is what fit notes of the maps.
	most struct{ byKey, callers int }
}

// keepScratch is the largest buffer that is kept for encoding outcomes, in bytes.
const keepScratch = 64 << 10

// An idemCaller is what the records of one caller take. Its name is shared by all of
// them.
type idemCaller struct {
	name    string
	records int
	bytes   int64
}

// An idemKey is what a record is found by.
type idemKey struct{ scope, key string }

type idemRecord struct {
	id          idemKey
	caller      string
	fingerprint [16]byte
	expires     int64
	outcome     []byte
}

// idemCost is what an idempotency record takes in memory beside its key and its
// outcome, in bytes: the record, its places in the table and in the queue.
const idemCost = 240

// cost returns what the record takes in memory, in bytes.
func (rec *idemRecord) cost() int64 { return int64(idemCost + len(rec.id.key) + len(rec.outcome)) }

func newIdemTable() idemTable {
	return idemTable{byKey: make(map[idemKey]*idemRecord), callers: make(map[string]*idemCaller)}
}

// replayLocked answers a command whose idempotency key is known, or that cannot
// be given a record. It returns false if the command is to run.
func (s *State) replayLocked(c *Command, r *Result) bool {
	m := &s.mu.machine
	known := m.idem.find(&c.Idem, m.time)
	switch {
	case known == nil, faulty(repeated):
		for r.Outcome = m.idem.full(c.Idem.Caller, &m.params); r.Outcome != 0 && m.idem.expireOne(m.time); {
			r.Outcome = m.idem.full(c.Idem.Caller, &m.params)
		}
		return r.Outcome != 0
	case known.fingerprint != c.Idem.Fingerprint:
		r.Outcome = IdemMismatch
	default:
		d := decoder{b: known.outcome}
		d.outcome(r)
		if c.Lock != nil && c.Lock.Kind == LockAcquire && r.Lease != nil {
			s.replayAcquireLocked(r)
		} else {
			s.fillValuesLocked(c, r)
		}
		r.Replayed = true
	}
	return true
}

// find returns the record of a request, nil if there is none at log time now. Records of
// an earlier release have the caller's address as their scope.
func (t *idemTable) find(id *Idem, now int64) *idemRecord {
	known := t.byKey[idemKey{id.Scope, id.Key}]
	if known == nil && id.Scope == "" {
		known = t.byKey[idemKey{id.Caller, id.Key}]
	}
	if known != nil && known.expires <= now {
		return nil
	}
	return known
}

// full returns why caller cannot have another record, 0 if it can.
func (t *idemTable) full(caller string, p *Params) Outcome {
	var its idemCaller
	if known := t.callers[caller]; known != nil {
		its = *known
	}
	switch {
	case len(t.byKey) >= p.IdemMax || t.bytes >= p.IdemBytes:
		return IdemFull
	case its.records >= p.IdemPerCaller || its.bytes >= p.IdemBytes/2:
		return IdemCallerFull
	}
	return 0
}

// fillValuesLocked gives the entries of a replayed result their values where
// the key still has that version. What parts wrote may have been another value of the same
// revision: those have the values that were kept, and no others.
func (s *State) fillValuesLocked(c *Command, r *Result) {
	ops := c.Ops
	if r.Outcome == ElseRan {
		ops = c.Else
	}
	for i := range r.Ops {
		did := &r.Ops[i]
		if !did.NoValue || i >= len(ops) {
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

// keep remembers r as the outcome of the request id; extended says that the command was.
func (t *idemTable) keep(id Idem, r *Result, m *machine, extended bool) {
	if !r.Outcome.kept() {
		return
	}
	at := *r
	at.At.Rev = m.rev
	rec := &idemRecord{
		id:          idemKey{id.Scope, strings.Clone(id.Key)},
		caller:      id.Caller,
		fingerprint: id.Fingerprint,
		expires:     m.time + m.params.IdemAge.Milliseconds(),
		outcome:     slices.Clone(t.encode(&at, extended)),
	}
	t.add(rec)
}

// encode returns the outcome of r in memory that is used again.
func (t *idemTable) encode(r *Result, extended bool) []byte {
	if extended {
		t.scratch = appendExtendedOutcome(t.scratch[:0], r)
	} else {
		t.scratch = appendOutcome(t.scratch[:0], r)
	}
	if out := t.scratch; cap(out) > keepScratch {
		t.scratch = nil
		return out
	}
	return t.scratch
}

// add takes a record over.
func (t *idemTable) add(rec *idemRecord) {
	t.enter(rec)
	t.queue = append(t.queue, rec)
	t.next++
}

// enter makes a record one that is found and counted. Its caller's name is replaced by the
// one that its other records have.
func (t *idemTable) enter(rec *idemRecord) {
	its := t.callers[rec.caller]
	if its == nil {
		its = &idemCaller{name: strings.Clone(rec.caller)}
		t.callers[its.name] = its
	}
	rec.caller = its.name
	if rec.id.scope != "" {
		rec.id.scope = its.name
	}
	its.records++
	its.bytes += rec.cost()
	t.bytes += rec.cost()
	t.byKey[rec.id] = rec
}

// idemStep is how many records an entry drops, or counts again, because others have ended:
// after an idle hour a million may end in one entry, and writers wait for it.
const idemStep = 1000

// expire drops the records that have ended at log time now. Where all but a few have, those
// are counted again; else it drops idemStep, and the next entry others.
func (t *idemTable) expire(now int64) {
	if late := len(t.queue) - 1 - idemStep; late > idemStep && t.queue[late].expires <= now {
		if n := t.ended(now); n > late {
			t.restart(n)
			return
		}
	}
	for n := 0; n < idemStep && t.expireOne(now); n++ {
	}
}

// ended returns how many records have ended at log time now before the first that has not.
func (t *idemTable) ended(now int64) (n int) {
	for n < len(t.queue) && t.queue[n].expires <= now {
		n++
	}
	return n
}

// restart keeps only what comes after the first n records.
func (t *idemTable) restart(n int) {
	t.byKey, t.callers, t.bytes = make(map[idemKey]*idemRecord), make(map[string]*idemCaller), 0
	t.most.byKey, t.most.callers = 0, 0
	t.queue = slices.Clone(t.queue[n:])
	t.first += uint64(n)
	for _, rec := range t.queue {
		t.enter(rec)
	}
}

// expireOne drops the oldest record if it has ended at log time now, and reports whether
// it has.
func (t *idemTable) expireOne(now int64) bool {
	if len(t.queue) == 0 || t.queue[0].expires > now {
		return false
	}
	rec := t.queue[0]
	t.queue[0] = nil
	t.queue = t.queue[1:]
	t.first++
	t.remove(rec)
	return true
}

func (t *idemTable) remove(rec *idemRecord) {
	if t.byKey[rec.id] == rec { // else a newer one has the key
		delete(t.byKey, rec.id)
		t.byKey = fit(t.byKey, &t.most.byKey)
	}
	t.bytes -= rec.cost()
	its := t.callers[rec.caller]
	its.bytes -= rec.cost()
	if its.records--; its.records == 0 {
		delete(t.callers, rec.caller)
		t.callers = fit(t.callers, &t.most.callers)
	}
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
	b = appendIdemCaller(b, rec.id.scope, rec.caller)
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
	rec.id.scope, rec.caller = d.idemCaller()
	rec.id.key = d.text()
	copy(rec.fingerprint[:], d.bytes(uint64(len(rec.fingerprint))))
	rec.outcome = d.blob()
	check := decoder{b: rec.outcome}
	check.outcome(new(Result))
	return rec, !d.bad && len(d.b) == 0 && !check.bad && len(check.b) == 0
}

// appendIdemCaller appends the scope and the caller of an idempotency key as one text: the
// caller alone where it is the scope too, as the first format had it, and behind a NUL where
// the scope is empty.
func appendIdemCaller(b []byte, scope, caller string) []byte {
	if scope != "" {
		return appendText(b, caller)
	}
	b = binary.AppendUvarint(b, uint64(len(caller)+1))
	b = append(b, 0)
	return append(b, caller...)
}

// idemCaller reads what appendIdemCaller wrote.
func (d *decoder) idemCaller() (scope, caller string) {
	text := d.text()
	if caller, shared := strings.CutPrefix(text, "\x00"); shared {
		return "", caller
	}
	return text, text
}
