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
	b = binary.AppendUvarint(b, uint64(e.Deadline()))
	b = appendText(b, r.Key)
	if l := e.lease(); l != nil {
		b = append(b, l.id[:]...)
	}
	if e.referred() {
		b = append(b, e.data()[:HashSize]...)
		b = binary.AppendUvarint(b, uint64(e.coldSize()))
		b = appendText(b, e.data()[coldHead+recordedSize:])
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
	if e.lease() != nil {
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
// copied out of b. It fails with an error that matches ErrDamaged or ErrNewer.
func ParseRecord(at Locator, b []byte) (Record, error) {
	p, err := parseRecord(at, b)
	if err != nil {
		return Record{}, err
	}
	if p.hasValue() {
		if sum := sha256.Sum256(p.value); !bytes.Equal(sum[:hashSize], p.hash) {
			return Record{}, badRecord(at, "value hash mismatch")
		}
	}
	return p.record(), nil
}

// ParseColdRecord is ParseRecord for an entry whose value is to stay on disk, which small
// ones and those of locks never do. The value is covered by the record's checksum only.
func ParseColdRecord(at Locator, b []byte) (Record, error) {
	p, err := parseRecord(at, b)
	if err != nil {
		return Record{}, err
	}
	if strings.HasPrefix(p.key, ReservedPrefix) || p.hasValue() && len(p.value) < SmallValue {
		return ParseRecord(at, b)
	}
	if len(p.value) > 0 {
		p.left, p.tier = coldForm(p.hash, len(p.value), ""), TierDisk
	}
	return p.record(), nil
}

// ParseValue returns the value in the durable record that ref names. It fails
// with an error that matches ErrDamaged if the bytes are not that record's.
func (ref ColdRef) ParseValue(b []byte) (string, error) {
	p, err := parseRecord(ref.At, b)
	switch {
	case err != nil:
		return "", err
	case p.key != ref.Key || !p.hasValue():
		return "", badRecord(ref.At, fmt.Sprintf("it is not the value of key %.80q", ref.Key))
	case len(p.value) != ref.Size || !bytes.Equal(p.hash, ref.Hash[:]):
		return "", badRecord(ref.At, "it holds another value")
	}
	return string(p.value), nil
}

func badRecord(at Locator, why string) error {
	return fmt.Errorf("%w: record %d.%d: %s", ErrDamaged, at.Rev, at.Ordinal, why)
}

// A parsed is the fields of a record. All but left shares memory with the
// record's bytes.
type parsed struct {
	at          Locator // of the version
	kind        entryKind
	reference   bool
	tier        Tier
	create      Rev
	version     uint64
	end         *end
	key         string
	hash, value []byte
	// left is what a cold entry keeps in the place of the value.
	left string
}

func (p *parsed) hasValue() bool { return p.kind == kindPut && !p.reference }

// record returns the record, which shares no memory with its bytes.
func (p *parsed) record() Record {
	var e *Entry
	if p.left != "" {
		e = newEntry(p.left)
		e.tier, e.cold = p.tier, true
	} else {
		e = copyEntry(p.value)
	}
	e.Mod, e.ordinal, e.kind = p.at.Rev, p.at.Ordinal, p.kind
	e.Create, e.Version, e.end = p.create, p.version, p.end
	return Record{Key: strings.Clone(p.key), Entry: e}
}

// parseRecord reads a record but for the sum of its value.
func parseRecord(at Locator, b []byte) (p parsed, err error) {
	if len(b) < 6 {
		return p, badRecord(at, "too short")
	}
	body := b[:len(b)-4]
	if binary.LittleEndian.Uint32(b[len(body):]) != recordSum(at, body) {
		return p, badRecord(at, "checksum mismatch")
	}
	layout := body[0] &^ recordReference
	if layout > recordLeased {
		return p, newer(fmt.Sprintf("record %d.%d", at.Rev, at.Ordinal), body[0], recordReference|recordLeased)
	}
	if layout != recordVersion && layout != recordLeased {
		return p, badRecord(at, fmt.Sprintf("unknown version %d", body[0]))
	}
	d := decoder{b: body[1:]}
	p.at, p.kind, p.reference = at, entryKind(d.byte()), body[0]&recordReference != 0
	if p.reference {
		p.at = Locator{Rev(d.uvarint()), uint32(d.uvarint())}
	}
	p.create, p.version = Rev(d.uvarint()), d.uvarint()
	deadline := int64(d.uvarint())
	p.key = d.text()
	var l *lease
	if layout == recordLeased {
		l = &lease{id: d.leaseID()}
	}
	p.end = newEnd(deadline, l)
	if p.kind > kindLease || deadline < 0 || len(p.key) == 0 || len(p.key) > MaxKey {
		return p, badRecord(at, "malformed")
	}
	if p.reference {
		if !d.reference(&p, at) {
			return p, badRecord(at, "malformed reference")
		}
	} else if p.kind == kindPut {
		p.hash, p.value = d.bytes(hashSize), d.blob()
	}
	if d.bad || len(d.b) != 0 {
		return p, badRecord(at, "malformed")
	}
	return p, nil
}

// reference reads what stands in the place of a value and makes p a reference
// that is recorded under at.
func (d *decoder) reference(p *parsed, at Locator) bool {
	hash, size := d.bytes(hashSize), d.uvarint()
	place, ok := parsePlace(string(d.blob()))
	if d.bad || !ok || p.kind != kindPut || size > 1<<40 || p.at.Rev > at.Rev {
		return false
	}
	p.left, p.tier = referForm(hash, int(size), at, place), TierObject
	return true
}
