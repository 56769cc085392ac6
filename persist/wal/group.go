package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Layout of a group, little endian, at a multiple of groupAlign in its segment:
//
//	 0 magic    uint32
//	 4 checksum uint32 CRC32C of everything after it, padding included
//	 8 salt     uint64 the segment's
//	16 seq      uint64 1, 2, 3 ... through the log's whole life
//	24 synced   uint64 last seq known durable when this group was written
//	32 index    uint64 see the kinds
//	40 count    uint32 see the kinds
//	44 length   uint32 payload bytes, without the padding
//	48 run      uint32 number of the Open that wrote it
//	52 kind     uint8, then three zero bytes
//	56 payload, then zeros up to groupAlign
const (
	groupMagic = 0x3147574b // "KWG1"; the digit is the format's version
	groupHead  = 56
	groupAlign = 8
	maxPayload = 1 << 30
)

// groupKind says what a group does to the log.
type groupKind uint8

const (
	// kindEntries appends count entries, the first of them index.
	kindEntries groupKind = iota + 1
	// kindTruncate removes index and everything after it; count is the oldest
	// segment that is still needed. If it removes all that there is because a
	// checkpoint has it, the payload is the last index removed, as uint64.
	kindTruncate
	// kindFloor removes everything before index; count as above.
	kindFloor
	// kindMark changes nothing: it is there for its synced.
	kindMark
	// kindSeal ends a segment; count is the number of the next.
	kindSeal
	// kindKept appends count entries, of which there may be none; before them in the payload is
	// the index up to which everything is committed, as uint64. Only stores with several
	// members have it.
	kindKept

	lastKind = kindKept
)

// keptHead is the length of what precedes the entries of kindKept.
const keptHead = 8

// Layout of an entry within a payload:
//
//	 0 checksum uint32 CRC32C of the entry's index (uint64) and all after it
//	 4 data     uint32 bytes
//	 8 term     uint64
//	16 appended uint64 noTime; earlier releases wrote nanoseconds since 1970
//	24 ext      uint32 bytes of extensions, which no release has written
//	28 type     uint8, then three zero bytes
//	32 data, extensions
const (
	entryHead = 32
	noTime    = 1 << 63
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errNoGroup  = errors.New("no group begins here")
	errChecksum = errors.New("checksum does not match")
	errEntries  = errors.New("entries do not fill the group")
)

// A group is the unit of writing: one write, one fsync, whole or absent.
type group struct {
	salt, seq, synced, index uint64
	count, run               uint32
	kind                     groupKind
	payload                  []byte // aliases the buffer decoded from
}

// groupSize returns the bytes that a group takes on disk.
func groupSize(payload int) int64 {
	return (groupHead + int64(payload) + groupAlign - 1) &^ (groupAlign - 1)
}

// sealGroup completes buf, whose first groupHead bytes are free and whose rest
// is the payload: it pads it and fills in the head. g.payload is not looked at.
func sealGroup(buf []byte, g group) []byte {
	length := len(buf) - groupHead
	var zero [groupAlign]byte
	buf = append(buf, zero[:groupSize(length)-int64(len(buf))]...)
	le := binary.LittleEndian
	le.PutUint32(buf[0:], groupMagic)
	le.PutUint64(buf[8:], g.salt)
	le.PutUint64(buf[16:], g.seq)
	le.PutUint64(buf[24:], g.synced)
	le.PutUint64(buf[32:], g.index)
	le.PutUint32(buf[40:], g.count)
	le.PutUint32(buf[44:], uint32(length))
	le.PutUint32(buf[48:], g.run)
	le.PutUint32(buf[52:], uint32(g.kind))
	le.PutUint32(buf[4:], crc32.Checksum(buf[8:], castagnoli))
	return buf
}

// groupLength reads from a head how many bytes the whole group claims to take.
// It returns errNoGroup if head does not begin a group of this segment.
func groupLength(head []byte, salt uint64) (int64, error) {
	if len(head) < groupHead {
		return 0, errNoGroup
	}
	le := binary.LittleEndian
	length := le.Uint32(head[44:])
	if le.Uint32(head) != groupMagic || le.Uint64(head[8:]) != salt || length > maxPayload {
		return 0, errNoGroup
	}
	return groupSize(int(length)), nil
}

// decodeGroup reads the group that b begins with. It returns errNoGroup or
// errChecksum if there is no whole one of this segment.
func decodeGroup(b []byte, salt uint64) (group, error) {
	size, err := groupLength(b, salt)
	if err != nil {
		return group{}, err
	}
	if int64(len(b)) < size {
		return group{}, errNoGroup
	}
	le := binary.LittleEndian
	if crc32.Checksum(b[8:size], castagnoli) != le.Uint32(b[4:]) {
		return group{}, errChecksum
	}
	return group{
		salt:    salt,
		seq:     le.Uint64(b[16:]),
		synced:  le.Uint64(b[24:]),
		index:   le.Uint64(b[32:]),
		count:   le.Uint32(b[40:]),
		run:     le.Uint32(b[48:]),
		kind:    groupKind(b[52]),
		payload: b[groupHead : groupHead+int(le.Uint32(b[44:]))],
	}, nil
}

// decodeFloor returns the index in the payload of a group that emptied the log; 0
// if there is none, as in those of earlier releases.
func decodeFloor(payload []byte) uint64 {
	if len(payload) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(payload)
}

// entryLength returns the bytes of the entry that b begins with.
func entryLength(b []byte) (int, error) {
	if len(b) < entryHead {
		return 0, errEntries
	}
	le := binary.LittleEndian
	n := entryHead + int64(le.Uint32(b[4:])) + int64(le.Uint32(b[24:]))
	if n > int64(len(b)) {
		return 0, errEntries
	}
	return int(n), nil
}

// appendEntry encodes one entry behind buf.
func appendEntry(buf []byte, e *Entry) []byte {
	start := len(buf)
	var head [entryHead]byte
	le := binary.LittleEndian
	le.PutUint32(head[4:], uint32(len(e.Data)))
	le.PutUint64(head[8:], e.Term)
	le.PutUint64(head[16:], noTime)
	head[28] = byte(e.Type)
	buf = append(buf, head[:]...)
	buf = append(buf, e.Data...)
	le.PutUint32(buf[start:], entryChecksum(buf[start:], e.Index))
	return buf
}

// entryChecksum ties an encoded entry to its index, so that a read at the wrong
// place is seen.
func entryChecksum(b []byte, index uint64) uint32 {
	var i [8]byte
	binary.LittleEndian.PutUint64(i[:], index)
	return crc32.Update(crc32.Checksum(i[:], castagnoli), castagnoli, b[4:])
}

// decodeEntry reads the entry that fills b. Data aliases b.
func decodeEntry(b []byte, index uint64, e *Entry) error {
	n, err := entryLength(b)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if n != len(b) || entryChecksum(b, index) != le.Uint32(b) {
		return errChecksum
	}
	*e = Entry{Index: index, Term: le.Uint64(b[8:]), Type: EntryType(b[28])}
	if split := entryHead + int(le.Uint32(b[4:])); split > entryHead {
		e.Data = b[entryHead:split:split]
	}
	return nil
}
