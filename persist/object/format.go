package object

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"keywatch/kv"
)

// The layout of a segment. Numbers are little-endian. Changing any of it takes
// a new segmentVersion.
//
//	header   8 bytes magic, uint32 version, store, epoch, number, 16 bytes
//	         writer, CRC-32C of it
//	records  one after the other, see recordHead
//	footer   for each record its place: uint64 offset, and its head again
//	         without the checksum
//	trailer  uint64 offset of the footer, uint32 count, CRC-32C of the footer,
//	         CRC-32C of the header and the trailer so far, 8 bytes magic
const (
	segmentVersion = 1
	headMagic      = "KWseg1\r\n"
	tailMagic      = "KWend1\r\n"

	headSize    = 8 + 4 + 8 + 4 + 8 + 16 + 4
	recordHead  = 16 + 8 + 4 + 4 + 4
	footerEntry = 8 + recordHead - 4
	trailerSize = 8 + 4 + 4 + 4 + 8

	// Overhead is what a record takes in a segment beside its value, in bytes.
	Overhead = recordHead + footerEntry
	// MaxValue bounds the length of a value, in bytes.
	MaxValue = 64 << 20
	// MaxSize bounds the length of a segment, in bytes.
	MaxSize = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A KeyHash is the first 128 bits of a key's SHA-256.
type KeyHash [16]byte

// HashKey returns the hash of key.
func HashKey(key string) KeyHash {
	sum := sha256.Sum256([]byte(key))
	return KeyHash(sum[:16])
}

// A Writer is drawn at random by each process that writes segments, so that it
// recognises its own.
type Writer [16]byte

// A Record describes one value in a segment.
type Record struct {
	Key KeyHash
	// At is the revision of the value's version and its place in that revision.
	At kv.Locator
	// Offset is where the record begins in the segment, Size the length of the
	// value, both in bytes.
	Offset int64
	Size   int
}

// end returns the offset after the record.
func (r Record) end() int64 { return r.Offset + recordHead + int64(r.Size) }

// appendHead appends all of the record's head but the checksum.
func (r Record) appendHead(b []byte) []byte {
	b = append(b, r.Key[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.At.Rev))
	b = binary.LittleEndian.AppendUint32(b, r.At.Ordinal)
	return binary.LittleEndian.AppendUint32(b, uint32(r.Size))
}

// parseRecordHead reads what appendHead wrote.
func parseRecordHead(b []byte) (r Record) {
	copy(r.Key[:], b)
	r.At.Rev = kv.Rev(binary.LittleEndian.Uint64(b[16:]))
	r.At.Ordinal = binary.LittleEndian.Uint32(b[24:])
	r.Size = int(binary.LittleEndian.Uint32(b[28:]))
	return r
}

// recordSum covers who the segment is, where the record is in it, its head
// and its value.
func recordSum(id ID, offset int64, head, value []byte) uint32 {
	var who [28]byte
	binary.LittleEndian.PutUint64(who[:], uint64(id.Store))
	binary.LittleEndian.PutUint32(who[8:], uint32(id.Epoch))
	binary.LittleEndian.PutUint64(who[12:], id.Seq)
	binary.LittleEndian.PutUint64(who[20:], uint64(offset))
	sum := crc32.Checksum(who[:], castagnoli)
	return crc32.Update(crc32.Update(sum, castagnoli, head), castagnoli, value)
}

// parseRecord checks the bytes of the record at offset in segment id and
// returns it and its value, which shares memory with b.
func parseRecord(id ID, offset int64, b []byte) (r Record, value []byte, why string) {
	if len(b) < recordHead {
		return r, nil, "too short"
	}
	r = parseRecordHead(b)
	r.Offset = offset
	value = b[recordHead:]
	sum := binary.LittleEndian.Uint32(b[recordHead-4:])
	if r.Size != len(value) || sum != recordSum(id, offset, b[:recordHead-4], value) {
		return r, nil, "checksum mismatch"
	}
	return r, value, ""
}

func appendHeader(b []byte, id ID, w Writer) []byte {
	start := len(b)
	b = append(b, headMagic...)
	b = binary.LittleEndian.AppendUint32(b, segmentVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(id.Store))
	b = binary.LittleEndian.AppendUint32(b, uint32(id.Epoch))
	b = binary.LittleEndian.AppendUint64(b, id.Seq)
	b = append(b, w[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// laterVersion is why a header that is whole cannot be read.
const laterVersion = "a later release wrote it"

// parseHeader returns why b is not the header of segment id; "" if it is. The
// checksum is where it is in every version.
func parseHeader(id ID, b []byte) (w Writer, why string) {
	if len(b) < headSize || string(b[:8]) != headMagic {
		return w, "not a segment"
	}
	if binary.LittleEndian.Uint32(b[headSize-4:]) != crc32.Checksum(b[:headSize-4], castagnoli) {
		return w, "header checksum mismatch"
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != segmentVersion {
		if v > segmentVersion {
			return w, laterVersion
		}
		return w, fmt.Sprintf("unknown version %d", v)
	}
	have := ID{
		Store: StoreID(binary.LittleEndian.Uint64(b[12:])),
		Epoch: kv.Epoch(binary.LittleEndian.Uint32(b[20:])),
		Seq:   binary.LittleEndian.Uint64(b[24:]),
	}
	if have != id {
		return w, "it is segment " + have.Name()
	}
	return Writer(b[32:48]), ""
}

// A trailer says where the footer is.
type trailer struct {
	footer int64
	count  int
	sum    uint32
}

func appendTrailer(b, header []byte, t trailer) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.footer))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.count))
	b = binary.LittleEndian.AppendUint32(b, t.sum)
	sum := crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, b[start:])
	b = binary.LittleEndian.AppendUint32(b, sum)
	return append(b, tailMagic...)
}

// parseTrailer reads the trailer of a segment of size bytes with this header.
func parseTrailer(header, b []byte, size int64) (t trailer, why string) {
	if len(b) != trailerSize || string(b[trailerSize-8:]) != tailMagic {
		return t, "no trailer: it was cut"
	}
	sum := crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, b[:16])
	if binary.LittleEndian.Uint32(b[16:]) != sum {
		return t, "trailer checksum mismatch"
	}
	footer := binary.LittleEndian.Uint64(b)
	t = trailer{int64(footer), int(binary.LittleEndian.Uint32(b[8:])), binary.LittleEndian.Uint32(b[12:])}
	if footer > math.MaxInt64/2 || t.footer < headSize || t.footer+int64(t.count)*footerEntry+trailerSize != size {
		return t, "trailer does not fit the length"
	}
	return t, ""
}
