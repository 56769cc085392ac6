package kv

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// The layout of a log entry. Changing any of it breaks compatibility: a new
// layout takes a new entryVersion.
//
//	byte    entryVersion
//	uint64  log time in milliseconds, little-endian
//	uint32  number of commands, little-endian
//	...     the commands
const (
	entryVersion = 2 // version 1 had neither leases nor locks
	oldestEntry  = 1
	// extendedVersion is the version of an entry, and extendedGrouped that of one with
	// groups, that has an extended command. It is written for no other, so that a log
	// without such commands can be read by releases that do not know them.
	extendedVersion, extendedGrouped = 4, 5
	// sinceVersion and sinceGrouped are the same for a command with a CheckUnchanged.
	sinceVersion, sinceGrouped = 6, 7
	newestEntry                = sinceGrouped
	entryHeaderSize            = 1 + 8 + 4
	// maxTime is the largest log time, in milliseconds: it leaves room to add
	// durations to it.
	maxTime = 1 << 60
)

// The kinds of command in an entry.
const (
	commandBatch  = 1
	commandPrefix = 2
	commandSetup  = 3 // without bounds on leases; not written any more
	// 4 to 15 are left out.
	commandSettings = 16 // with the default bound on the bytes of outcomes
	commandLease    = 17
	commandLock     = 18
	commandRefer    = 19
	commandBounds   = 20
	commandRoster   = 21
	commandExtended = 22 // a batch with parts, reads, or operations and checks that commandBatch has not
	commandSince    = 23 // an extended one with a CheckUnchanged
	commandPrivate  = 32
)

// opLeased marks the kind of an operation that names a lease. In an extended command
// opDeadline marks one with a deadline in place of a TTL, opKeepLease one that keeps its lease.
const (
	opLeased    = 0x80
	opDeadline  = 0x40
	opKeepLease = 0x20
)

// The flags of a batch or prefix command.
const (
	flagElse = 1 << iota
	flagIdem
	flagFences
	flagChecks
	flagAuth
	// The rest are for extended commands only.
	flagReads
	flagParts

	allFlags      = flagElse | flagIdem | flagFences | flagChecks | flagAuth
	extendedFlags = allFlags | flagReads | flagParts
)

// ErrBadEntry is returned when bytes are not a log entry of a known version.
var ErrBadEntry = errors.New("malformed log entry")

// An EntryBuilder collects commands into one log entry. It is not safe for
// concurrent use. The zero value is ready.
type EntryBuilder struct {
	buf   []byte
	count uint32
	form  Form
}

// Reset empties the builder and gives it buf to write to, which may be nil.
func (b *EntryBuilder) Reset(buf []byte) {
	var header [entryHeaderSize]byte
	b.buf = append(buf[:0], header[:]...)
	b.count, b.form = 0, plainForm
}

// Len returns the number of commands.
func (b *EntryBuilder) Len() int { return int(b.count) }

// Form returns the form of the commands.
func (b *EntryBuilder) Form() Form { return b.form }

// Size returns the number of bytes.
func (b *EntryBuilder) Size() int { return len(b.buf) }

// Add appends a command, which must be valid. Nothing of c is kept.
func (b *EntryBuilder) Add(c *Command) {
	b.grow()
	if n := c.bytes(); n > growBytes {
		b.buf = slices.Grow(b.buf, n) // at once: to double leaves much garbage behind
	}
	form := c.form()
	b.form = max(b.form, form)
	b.buf = appendCommand(b.buf, c, form)
}

// growBytes is how large a command is, in bytes, for which room is made at once.
const growBytes = 64 << 10

// bytes returns about how many bytes c takes in an entry.
func (c *Command) bytes() (n int) {
	for ops := range c.branches() {
		for i := range ops {
			n += len(ops[i].Key) + len(ops[i].Value) + opBytes
		}
	}
	for i := range c.Checks {
		n += len(c.Checks[i].Key) + len(c.Checks[i].Value) + opBytes
	}
	if c.Private != nil {
		for i := range c.Private.Puts {
			n += len(c.Private.Puts[i].Value) + opBytes
		}
	}
	return n
}

// opBytes is what an operation takes at most beside its key and value.
const opBytes = 48

// AddSetup appends a change of the state's own settings.
func (b *EntryBuilder) AddSetup(u Setup) {
	b.grow()
	b.buf = appendSetup(b.buf, u)
}

func (b *EntryBuilder) grow() {
	if len(b.buf) == 0 {
		b.Reset(nil)
	}
	b.count++
}

// Finish returns the entry for log time now. The bytes belong to the builder
// until Reset is called with another buffer.
func (b *EntryBuilder) Finish(now int64) []byte {
	if len(b.buf) == 0 {
		b.Reset(nil)
	}
	b.buf[0] = b.form.version()
	binary.LittleEndian.PutUint64(b.buf[1:], uint64(now))
	binary.LittleEndian.PutUint32(b.buf[9:], b.count)
	return b.buf
}

// Commands returns the encoded commands. The bytes belong to the builder.
func (b *EntryBuilder) Commands() []byte {
	if len(b.buf) == 0 {
		return nil
	}
	return b.buf[entryHeaderSize:]
}

// Release returns the buffer of the entry, which the builder does not use any more; Len stays.
func (b *EntryBuilder) Release() []byte {
	buf := b.buf
	b.buf = nil
	return buf
}

// EncodeEntry returns a log entry of commands at log time now.
func EncodeEntry(now int64, commands ...*Command) []byte {
	var b EntryBuilder
	for _, c := range commands {
		b.Add(c)
	}
	return b.Finish(now)
}

func appendCommand(b []byte, c *Command, form Form) []byte {
	if c.Refer != nil {
		return appendRefer(b, c.Refer)
	}
	if c.Private != nil {
		return appendPrivate(b, c.Private, c.Auth)
	}
	b = append(b, kindOf(c, form), commandFlags(c))
	if c.Auth != 0 {
		b = binary.AppendUvarint(b, uint64(c.Auth))
	}
	if c.Idem.Key != "" {
		b = appendIdemCaller(b, c.Idem.Scope, c.Idem.Caller)
		b = appendText(b, c.Idem.Key)
		b = append(b, c.Idem.Fingerprint[:]...)
	}
	if len(c.Fences) > 0 {
		b = binary.AppendUvarint(b, uint64(len(c.Fences)))
		for _, f := range c.Fences {
			b = appendText(b, f.Lock)
			b = binary.AppendUvarint(b, uint64(f.Token))
		}
	}
	switch {
	case c.Lease != nil:
		return appendLeaseCommand(b, c.Lease)
	case c.Lock != nil:
		return appendLockCommand(b, c.Lock)
	case c.Prefix != nil:
		return appendText(b, *c.Prefix)
	}
	if len(c.Checks) > 0 {
		b = appendChecks(b, c.Checks)
	}
	if form != plainForm {
		return appendExtended(b, c)
	}
	b = appendOps(b, c.Ops)
	if c.HasElse {
		b = appendOps(b, c.Else)
	}
	return b
}

func kindOf(c *Command, form Form) byte {
	switch {
	case form == sinceForm:
		return commandSince
	case form == extendedForm:
		return commandExtended
	case c.Lease != nil:
		return commandLease
	case c.Lock != nil:
		return commandLock
	case c.Prefix != nil:
		return commandPrefix
	}
	return commandBatch
}

func commandFlags(c *Command) (flags byte) {
	if c.HasElse {
		flags |= flagElse
	}
	if c.Idem.Key != "" {
		flags |= flagIdem
	}
	if len(c.Fences) > 0 {
		flags |= flagFences
	}
	if len(c.Checks) > 0 {
		flags |= flagChecks
	}
	if c.Auth != 0 {
		flags |= flagAuth
	}
	if len(c.Reads) > 0 {
		flags |= flagReads
	}
	if c.Parts != nil {
		flags |= flagParts
	}
	return flags
}

func appendChecks(b []byte, checks []Check) []byte {
	b = binary.AppendUvarint(b, uint64(len(checks)))
	for i := range checks {
		b = appendCheck(b, &checks[i])
	}
	return b
}

func appendCheck(b []byte, k *Check) []byte {
	b = append(b, byte(k.Kind))
	b = appendText(b, k.Key)
	if k.Kind == CheckValue || k.Kind == CheckValueNot {
		return appendText(b, k.Value)
	}
	return binary.AppendUvarint(b, k.N)
}

func appendOps(b []byte, ops []Op) []byte {
	b = binary.AppendUvarint(b, uint64(len(ops)))
	for i := range ops {
		op := &ops[i]
		leased := op.Kind == OpPut && op.Lease != LeaseID{}
		if leased {
			b = append(b, byte(op.Kind)|opLeased)
			b = append(b, op.Lease[:]...)
		} else {
			b = append(b, byte(op.Kind))
		}
		b = appendText(b, op.Key)
		if op.Kind == OpPut {
			b = binary.AppendVarint(b, ttlMillis(op.TTL))
			b = appendText(b, op.Value)
		}
	}
	return b
}

// ttlMillis returns d in milliseconds, rounded up; KeepTTL is -1.
func ttlMillis(d time.Duration) int64 {
	if d == KeepTTL {
		return -1
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

func appendText[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
