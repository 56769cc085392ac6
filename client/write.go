package client

import (
	"fmt"
	"strings"
	"time"
)

// A WriteOption says more about a write.
type WriteOption func(*write)

// write is what the options of one write ask for.
type write struct {
	ttl    string
	lease  LeaseID
	cond   Condition
	fences []string
	key    string
	all    bool
}

func newWrite(opts []WriteOption) *write {
	w := new(write)
	for _, o := range opts {
		o(w)
	}
	return w
}

// TTL makes the server delete the key after d, never earlier. Fractions of a
// millisecond count as a whole one.
func TTL(d time.Duration) WriteOption { return func(w *write) { w.ttl = durationText(d) } }

// KeepTTL leaves the key the time to live that it has.
func KeepTTL() WriteOption { return func(w *write) { w.ttl = "keep" } }

// OnLease makes the server delete the key when the lease ends.
func OnLease(id LeaseID) WriteOption { return func(w *write) { w.lease = id } }

// If makes a write of one key conditional. If the condition does not hold the
// write fails with an *Error that matches ErrConflict.
func If(c Condition) WriteOption { return func(w *write) { w.cond = c } }

// IfFence makes the server refuse the write, with an error that matches
// ErrFenceLost, unless the lock is held under token when the write is applied.
// It can be given several times: then all must hold.
func IfFence(lock string, token Token) WriteOption {
	return func(w *write) { w.fences = append(w.fences, fmt.Sprintf("%s=%d", lock, token)) }
}

// IdempotencyKey takes the place of the random key that a write is sent with:
// within ten minutes the same request with the same key is applied once, also
// by another process. It has up to 128 visible ASCII characters.
func IdempotencyKey(key string) WriteOption { return func(w *write) { w.key = key } }

// Everything allows DeletePrefix of the empty prefix.
func Everything() WriteOption { return func(w *write) { w.all = true } }

// conditions sets the conditions that headers can carry.
func (w *write) conditions(r *Request) *Request {
	switch w.cond.kind {
	case ifAbsent:
		r.Header.Set("If-None-Match", "*")
	case ifExists:
		r.Header.Set("If-Match", "*")
	case ifETag:
		r.Header.Set("If-Match", w.cond.etag)
	}
	return r
}

// apply sets what any write may carry.
func (w *write) apply(r *Request) *Request {
	r.IdempotencyKey = w.key
	if len(w.fences) > 0 {
		r.Header.Set("If-Fence", strings.Join(w.fences, ", "))
	}
	return r
}

// A Condition is what a key must be for a write to be applied. The zero value
// always holds.
type Condition struct {
	kind  conditionKind
	rev   Rev
	value []byte
	etag  string // quoted
}

type conditionKind uint8

const (
	always conditionKind = iota
	ifAbsent
	ifExists
	ifRev
	ifValue
	ifETag
)

// IfAbsent holds if there is no such key.
func IfAbsent() Condition { return Condition{kind: ifAbsent} }

// IfExists holds if there is such a key.
func IfExists() Condition { return Condition{kind: ifExists} }

// IfRev holds if the key's last change has this revision; 0 is an absent key.
func IfRev(rev Rev) Condition { return Condition{kind: ifRev, rev: rev} }

// IfValue holds if the key has this value. An empty one is a value, not the
// absence of the key.
func IfValue(value []byte) Condition { return Condition{kind: ifValue, value: value} }

// IfETag holds if the key's version has this entity tag, as Entry.ETag and
// Written.ETag have it; its quotes may be left out. An absent key has none.
func IfETag(etag string) Condition {
	bare := strings.Trim(strings.TrimPrefix(strings.TrimSpace(etag), "W/"), `"`)
	return Condition{kind: ifETag, etag: `"` + bare + `"`}
}

// check returns the condition as a check of a batch, and whether there is one.
func (c Condition) check(key string) (Check, bool) {
	switch c.kind {
	case ifAbsent:
		return CheckAbsent(key), true
	case ifExists:
		return CheckExists(key), true
	case ifRev:
		return CheckRev(key, c.rev), true
	case ifValue:
		return CheckValue(key, c.value), true
	}
	return Check{}, false
}
