package object

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"keywatch/kv"
)

// A Builder packs values into one segment, in memory. It belongs to one
// goroutine.
type Builder struct {
	id      ID
	buf     []byte
	records []Record
}

// NewBuilder begins segment id. size is how long it is expected to become, in
// bytes.
func NewBuilder(id ID, w Writer, size int) *Builder {
	b := &Builder{id: id, buf: make([]byte, 0, max(size, headSize+trailerSize))}
	b.buf = appendHeader(b.buf, id, w)
	return b
}

// Add packs value, the version of key at at, and returns where. It fails if the
// value or the segment would be longer than MaxValue or MaxSize.
func (b *Builder) Add(key string, at kv.Locator, value string) (Record, error) {
	r := Record{Key: HashKey(key), At: at, Offset: int64(len(b.buf)), Size: len(value)}
	if len(value) > MaxValue || b.Size()+len(value)+Overhead > MaxSize {
		return Record{}, fmt.Errorf("segment %s: a value of %d bytes does not fit", b.id.Name(), len(value))
	}
	start := len(b.buf)
	b.buf = r.appendHead(b.buf)
	b.buf = binary.LittleEndian.AppendUint32(b.buf, 0)
	b.buf = append(b.buf, value...)
	sum := recordSum(b.id, r.Offset, b.buf[start:start+recordHead-4], b.buf[start+recordHead:])
	binary.LittleEndian.PutUint32(b.buf[start+recordHead-4:], sum)
	b.records = append(b.records, r)
	return r, nil
}

// Len returns the number of values packed so far.
func (b *Builder) Len() int { return len(b.records) }

// Size returns how long the segment would be if it ended now, in bytes.
func (b *Builder) Size() int { return len(b.buf) + len(b.records)*footerEntry + trailerSize }

// Finish ends the segment and returns its bytes, which the caller owns. The
// builder must not be used afterwards.
func (b *Builder) Finish() []byte {
	t := trailer{footer: int64(len(b.buf)), count: len(b.records)}
	for _, r := range b.records {
		b.buf = binary.LittleEndian.AppendUint64(b.buf, uint64(r.Offset))
		b.buf = r.appendHead(b.buf)
	}
	t.sum = crc32.Checksum(b.buf[t.footer:], castagnoli)
	return appendTrailer(b.buf, b.buf[:headSize], t)
}
