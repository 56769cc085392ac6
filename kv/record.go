package kv

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// The layout of a durable record. Changing any of it breaks compatibility: a
// new layout takes a new recordVersion.
//
//	byte     recordVersion
//	byte     kind of entry
//	uvarint  create revision
//	uvarint  version
//	uvarint  deadline
//	text     key
//	16 bytes the lease, in version 2 only
//	16 bytes the first of the value's SHA-256, for an entry that has a value
//	text     value, likewise
//	uint32   CRC-32C of revision, ordinal and all of the above, little-endian
const (
	recordVersion = 1 // an entry without a lease
	recordLeased  = 2
	hashSize      = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Record is one version of one key as it is kept on disk, under its Locator.
type Record struct {
	Key   string
	Entry *Entry
}

// Locator returns the record's place.
func (r Record) Locator() Locator { return r.Entry.locator() }

// AppendTo appends the record's bytes to b.
func (r Record) AppendTo(b []byte) []byte {
	start, e := len(b), r.Entry
	if e.lease != nil {
		b = append(b, recordLeased, byte(e.kind))
	} else {
		b = append(b, recordVersion, byte(e.kind))
	}
	b = binary.AppendUvarint(b, uint64(e.Create))
	b = binary.AppendUvarint(b, e.Version)
	b = binary.AppendUvarint(b, uint64(e.Deadline))
	b = appendText(b, r.Key)
	if e.lease != nil {
		b = append(b, e.lease.id[:]...)
	}
	if !e.Deleted() {
		hash := sha256.Sum256([]byte(e.value))
		b = append(b, hash[:hashSize]...)
		b = appendText(b, e.value)
	}
	return binary.LittleEndian.AppendUint32(b, recordSum(e.locator(), b[start:]))
}

func recordSum(at Locator, b []byte) uint32 {
	var head [12]byte
	binary.BigEndian.PutUint64(head[:], uint64(at.Rev))
	binary.BigEndian.PutUint32(head[8:], at.Ordinal)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, b)
}

// ParseRecord reads what AppendTo wrote for the record at. Key and value are
// copied out of b. It fails with an error that matches ErrDamaged.
func ParseRecord(at Locator, b []byte) (Record, error) {
	damaged := func(why string) (Record, error) {
		return Record{}, fmt.Errorf("%w: record %d.%d: %s", ErrDamaged, at.Rev, at.Ordinal, why)
	}
	if len(b) < 6 {
		return damaged("too short")
	}
	body := b[:len(b)-4]
	if binary.LittleEndian.Uint32(b[len(body):]) != recordSum(at, body) {
		return damaged("checksum mismatch")
	}
	if body[0] != recordVersion && body[0] != recordLeased {
		return damaged(fmt.Sprintf("unknown version %d", body[0]))
	}
	d := decoder{b: body[1:]}
	e := &Entry{Mod: at.Rev, ordinal: at.Ordinal, kind: entryKind(d.byte())}
	e.Create, e.Version, e.Deadline = Rev(d.uvarint()), d.uvarint(), int64(d.uvarint())
	key := d.text()
	if body[0] == recordLeased {
		e.lease = &lease{id: d.leaseID()}
	}
	if e.kind > kindLease || e.Deadline < 0 || len(key) == 0 || len(key) > MaxKey {
		return damaged("malformed")
	}
	if !e.Deleted() {
		hash, value := d.bytes(hashSize), d.blob()
		e.value = string(value)
		if sum := sha256.Sum256(value); !bytes.Equal(sum[:hashSize], hash) {
			return damaged("value hash mismatch")
		}
	}
	if d.bad || len(d.b) != 0 {
		return damaged("malformed")
	}
	return Record{Key: strings.Clone(key), Entry: e}, nil
}
