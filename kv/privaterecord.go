package kv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"strings"
)

// privateRecordVersion is the layout of a private record's bytes in a checkpoint:
//
//	byte    privateRecordVersion
//	uvarint revision
//	text    value
//	uint32  CRC-32C of the name and all of the above, little-endian
const privateRecordVersion = 1

func (r *PrivateRecord) appendTo(b []byte) []byte {
	start := len(b)
	b = append(b, privateRecordVersion)
	b = binary.AppendUvarint(b, uint64(r.Rev))
	b = appendText(b, r.Value)
	return binary.LittleEndian.AppendUint32(b, privateSum(r.Name, b[start:]))
}

func privateSum(name string, b []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(name), castagnoli), castagnoli, b)
}

// parsePrivateRecord reads what appendTo wrote. It fails with an error that matches ErrDamaged
// or ErrNewer.
func parsePrivateRecord(name string, b []byte) (r PrivateRecord, err error) {
	end := len(b) - 4
	if end < 1 || binary.LittleEndian.Uint32(b[end:]) != privateSum(name, b[:end]) {
		return r, badPrivate(name)
	}
	if b[0] > privateRecordVersion {
		return r, newer(fmt.Sprintf("private record %.80q", name), b[0], privateRecordVersion)
	}
	d := decoder{b: b[1:end]}
	r = PrivateRecord{Name: strings.Clone(name), Rev: Rev(d.uvarint()), Value: bytes.Clone(d.blob())}
	sound := r.Rev > 0 && len(r.Value) > 0 && checkPrivateName(name) == nil
	if !sound || d.bad || len(d.b) != 0 || b[0] != privateRecordVersion {
		return r, badPrivate(name)
	}
	return r, nil
}

func badPrivate(name string) error { return fmt.Errorf("%w: private record %.80q", ErrDamaged, name) }

// PrivateChanged reports whether private records have changed since the checkpoint before: if
// not, those that it holds still count.
func (c *Checkpoint) PrivateChanged() bool { return c.privateChanges != c.privateBefore }

// Private ranges over the private records at the checkpoint's revision, in order of name: all
// of them. The bytes are valid until the next iteration.
func (c *Checkpoint) Private() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		var b []byte
		scanPrivate(c.private, func(r PrivateRecord) bool {
			b = r.appendTo(b[:0])
			return yield(r.Name, b)
		})
	}
}

// AddPrivate takes the private record with a name. All of them come before Done. It fails with
// an error that matches ErrDamaged or ErrNewer.
func (l *Loader) AddPrivate(name string, b []byte) error {
	r, err := parsePrivateRecord(name, b)
	if err != nil {
		return err
	}
	t := &l.state.mu.private
	if _, twice := t.byName.Get(name); twice || r.Rev > l.meta.At.Rev || l.meta.Auth == 0 {
		return badPrivate(name)
	}
	t.put(r)
	return nil
}
