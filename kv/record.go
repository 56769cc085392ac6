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
//	byte     recordVersion or recordLeased, recordReference added for a reference
//	byte     kind of entry
//	uvarint  revision and ordinal of the version, in a reference only
//	uvarint  create revision
//	uvarint  version
//	uvarint  deadline
//	text     key
//	16 bytes the lease, in layout recordLeased only
//	16 bytes the first of the value's SHA-256, for an entry that has a value
//	text     value, likewise; in a reference its length (uvarint) and its Place (text)
//	uint32   CRC-32C of revision, ordinal and all of the above, little-endian
const (
	recordVersion   = 1 // an entry without a lease
	recordLeased    = 2
	recordReference = 0x10
	hashSize        = HashSize
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
	b = append(b, e.recordVersion(), byte(e.kind))
	if e.referred() {
		b = binary.AppendUvarint(b, uint64(e.Mod))
		b = binary.AppendUvarint(b, uint64(e.ordinal))
	}
	b = binary.AppendUvarint(b, uint64(e.Create))
	b = binary.AppendUvarint(b, e.Version)
	b = binary.AppendUvarint(b, uint64(e.Deadline))
	b = appendText(b, r.Key)
	if e.lease != nil {
		b = append(b, e.lease.id[:]...)
	}
	if e.referred() {
		b = append(b, e.value[:HashSize]...)
		b = binary.AppendUvarint(b, uint64(e.coldSize()))
		b = appendText(b, e.value[coldHead+recordedSize:])
	} else if !e.Deleted() {
		value := e.Value()
		hash := sha256.Sum256([]byte(value))
		b = append(b, hash[:hashSize]...)
		b = appendText(b, value)
	}
	return binary.LittleEndian.AppendUint32(b, recordSum(e.locator(), b[start:]))
}

// recordVersion returns the layout that e is recorded in.
func (e *Entry) recordVersion() byte {
	layout := byte(recordVersion)
	if e.lease != nil {
		layout = recordLeased
	}
	if e.referred() {
		layout |= recordReference
	}
	return layout
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
	r, hash, value, err := parseRecord(at, b)
	if err != nil || r.Entry.Deleted() || r.Entry.referred() {
		return r, err
	}
	if sum := sha256.Sum256(value); !bytes.Equal(sum[:hashSize], hash) {
		return Record{}, badRecord(at, "value hash mismatch")
	}
	r.Entry.value = string(value)
	return r, nil
}

// ParseColdRecord is ParseRecord for an entry whose value is to stay on disk, which
// those of locks never do. The value is covered by the record's checksum only.
func ParseColdRecord(at Locator, b []byte) (Record, error) {
	r, hash, value, err := parseRecord(at, b)
	if err == nil && strings.HasPrefix(r.Key, ReservedPrefix) {
		return ParseRecord(at, b)
	}
	if err == nil && len(value) > 0 {
		r.Entry.value, r.Entry.tier, r.Entry.cold = coldForm(hash, len(value), ""), TierDisk, true
	}
	return r, err
}

// ParseValue returns the value in the durable record that ref names. It fails
// with an error that matches ErrDamaged if the bytes are not that record's.
func (ref ColdRef) ParseValue(b []byte) (string, error) {
	r, hash, value, err := parseRecord(ref.At, b)
	switch {
	case err != nil:
		return "", err
	case r.Key != ref.Key || r.Entry.Deleted() || r.Entry.referred():
		return "", badRecord(ref.At, fmt.Sprintf("it is not the value of key %.80q", ref.Key))
	case len(value) != ref.Size || !bytes.Equal(hash, ref.Hash[:]):
		return "", badRecord(ref.At, "it holds another value")
	}
	return string(value), nil
}

func badRecord(at Locator, why string) error {
	return fmt.Errorf("%w: record %d.%d: %s", ErrDamaged, at.Rev, at.Ordinal, why)
}

// parseRecord reads a record but for its value, which it returns with its hash;
// both share memory with b.
func parseRecord(at Locator, b []byte) (r Record, hash, value []byte, err error) {
	damaged := func(why string) (Record, []byte, []byte, error) {
		return Record{}, nil, nil, badRecord(at, why)
	}
	if len(b) < 6 {
		return damaged("too short")
	}
	body := b[:len(b)-4]
	if binary.LittleEndian.Uint32(b[len(body):]) != recordSum(at, body) {
		return damaged("checksum mismatch")
	}
	reference, layout := body[0]&recordReference != 0, body[0]&^recordReference
	if layout != recordVersion && layout != recordLeased {
		return damaged(fmt.Sprintf("unknown version %d", body[0]))
	}
	d := decoder{b: body[1:]}
	e := &Entry{Mod: at.Rev, ordinal: at.Ordinal, kind: entryKind(d.byte())}
	if reference {
		e.Mod, e.ordinal = Rev(d.uvarint()), uint32(d.uvarint())
	}
	e.Create, e.Version, e.Deadline = Rev(d.uvarint()), d.uvarint(), int64(d.uvarint())
	key := d.text()
	if layout == recordLeased {
		e.lease = &lease{id: d.leaseID()}
	}
	if e.kind > kindLease || e.Deadline < 0 || len(key) == 0 || len(key) > MaxKey {
		return damaged("malformed")
	}
	if reference {
		if !d.reference(e, at) {
			return damaged("malformed reference")
		}
	} else if !e.Deleted() {
		hash, value = d.bytes(hashSize), d.blob()
	}
	if d.bad || len(d.b) != 0 {
		return damaged("malformed")
	}
	return Record{Key: strings.Clone(key), Entry: e}, hash, value, nil
}

// reference reads what stands in the place of a value and makes e a reference
// that is recorded under at.
func (d *decoder) reference(e *Entry, at Locator) bool {
	hash, size := d.bytes(hashSize), d.uvarint()
	p, ok := parsePlace(string(d.blob()))
	if d.bad || !ok || e.Deleted() || size > 1<<40 || e.Mod > at.Rev {
		return false
	}
	ref := e.refer(hash, int(size), at, p)
	e.value, e.tier, e.cold = ref.value, ref.tier, ref.cold
	return true
}
