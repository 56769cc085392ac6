package kv

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"
)

// A decoder reads what the append functions write. After the first malformed
// field bad is set and all further reads return zero values.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// bytes returns the next n bytes, which share memory with the input.
func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) blob() []byte { return d.bytes(d.uvarint()) }

// text returns the next text. It shares memory with the input, so a caller that keeps
// it must clone it.
func (d *decoder) text() string {
	b := d.blob()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// count reads a number of things that take at least one byte each.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

// entryHeader reads what precedes the commands of an entry.
func (d *decoder) entryHeader() (now int64, count int, err error) {
	grouped := len(d.b) > 0 && isGrouped(d.b[0])
	now, count, err = d.entryStart()
	if err == nil && grouped {
		_, err = d.groups(count, nil)
	}
	return now, count, err
}

// entryStart reads the header of an entry, without its groups.
func (d *decoder) entryStart() (now int64, count int, err error) {
	h := d.bytes(entryHeaderSize)
	if d.bad {
		return 0, 0, ErrBadEntry
	}
	if h[0] > newestEntry {
		return 0, 0, fmt.Errorf("%w: %w", ErrBadEntry, newer("log entry", h[0], newestEntry))
	}
	if h[0] < oldestEntry {
		return 0, 0, fmt.Errorf("%w: version %d", ErrBadEntry, h[0])
	}
	now = int64(binary.LittleEndian.Uint64(h[1:]))
	n := binary.LittleEndian.Uint32(h[9:])
	if now < 0 || now > maxTime || uint64(n) > uint64(len(d.b)) {
		return 0, 0, ErrBadEntry
	}
	return now, int(n), nil
}

// command reads the next command into c, reusing its slices. What c holds
// shares memory with the input.
func (d *decoder) command(kind byte, c *Command, prefix *string) {
	flags := d.byte()
	*c = Command{Fences: c.Fences[:0], Checks: c.Checks[:0], Ops: c.Ops[:0], Else: c.Else[:0]}
	if forgets(kind) {
		d.fail()
		return
	}
	known, form := byte(allFlags), formOf(kind)
	if form != plainForm {
		known = extendedFlags
	}
	if flags&^known != 0 {
		d.fail() // servers that do not know a flag would do something else than those that do
		return
	}
	if flags&flagAuth != 0 {
		if c.Auth = Rev(d.uvarint()); c.Auth == 0 {
			d.fail()
			return
		}
	}
	if flags&flagIdem != 0 {
		c.Idem.Scope, c.Idem.Caller = d.idemCaller()
		c.Idem.Key = d.text()
		copy(c.Idem.Fingerprint[:], d.bytes(uint64(len(c.Idem.Fingerprint))))
	}
	if flags&flagFences != 0 {
		for range d.count() {
			c.Fences = append(c.Fences, Fence{Lock: d.text(), Token: Rev(d.uvarint())})
		}
	}
	switch kind {
	case commandPrefix:
		*prefix = d.text()
		c.Prefix = prefix
		return
	case commandLease:
		c.Lease = d.leaseCommand()
		return
	case commandLock:
		c.Lock = d.lockCommand()
		return
	}
	if flags&flagChecks != 0 {
		c.Checks = d.checks(c.Checks, form)
	}
	if form != plainForm {
		d.extended(flags, c, form)
		return
	}
	c.Ops = d.ops(c.Ops)
	if flags&flagElse != 0 {
		c.HasElse = true
		c.Else = d.ops(c.Else)
	}
}

func (d *decoder) checks(checks []Check, form Form) []Check {
	for range d.count() {
		k := d.check()
		if k.form() > form {
			d.fail()
		}
		checks = append(checks, k)
	}
	return checks
}

func (d *decoder) check() Check {
	k := Check{Kind: CheckKind(d.byte()), Key: d.text()}
	switch {
	case k.Kind == CheckValue || k.Kind == CheckValueNot:
		k.Value = d.blob()
	case k.Kind >= CheckRev && k.Kind < CheckValue, k.Kind == CheckUnchanged:
		k.N = d.uvarint()
	default:
		d.fail()
	}
	return k
}

func (d *decoder) ops(ops []Op) []Op {
	for range d.count() {
		kind := d.byte()
		var op Op
		if kind == byte(OpPut)|opLeased {
			kind = byte(OpPut)
			op.Lease = d.leaseID()
		}
		op.Kind, op.Key = OpKind(kind), d.text()
		switch op.Kind {
		case OpPut:
			op.TTL = d.ttl()
			op.Value = d.blob()
		case OpDelete, OpGet:
		default:
			d.fail()
		}
		ops = append(ops, op)
	}
	return ops
}

func (d *decoder) ttl() time.Duration {
	ms := d.varint()
	switch {
	case ms == -1:
		return KeepTTL
	case ms < 0 || ms > MaxTTL.Milliseconds():
		d.fail()
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
