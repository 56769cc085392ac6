package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"keywatch/kv"
	"keywatch/persist/wal"
)

// Versions of an encoded header, in its first byte. Version 1 knew no leases. One with several
// members says so in a version of its own: the releases before would take themselves for the
// only server.
const (
	headerVersion  = 2
	membersVersion = 3
	// privateHeader in the version says that the header ends with where the private records are.
	// A release that does not know of them refuses the file, instead of serving it to anyone.
	privateHeader = 0x40
)

var (
	// errHeader and errChecksum are why a header cannot be decoded.
	errHeader   = errors.New("the header is malformed")
	errChecksum = errors.New("checksum does not match")
)

// soleIndex is the index of the log entry that holds wal.SoleMembers.
const soleIndex = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A laterHeader is the version of a header that a later release wrote.
type laterHeader byte

func (v laterHeader) Error() string { return fmt.Sprintf("it has version %d", byte(v)) }

// A header says what a checkpoint file holds. It is one value, replaced in the
// transaction that makes it true: whatever the file holds beside it is the
// leftover of something that did not end.
type header struct {
	// seq counts the committed checkpoints; 0 is a file without one.
	seq uint64
	// gen is the last generation given to a range's bucket by then.
	gen uint64
	// meta is what kv keeps beside the records.
	meta kv.Meta
	// index and term are those of the last entry that the checkpoint has. index is
	// at or above meta.Index: the log has entries that the state never sees.
	index, term uint64
	// members says who the servers of the store are, as the cluster has it; nil while there is
	// one.
	members []byte
	// installed says that another server wrote the checkpoint, and that the log may be of before
	// it. A checkpoint of this server ends that.
	installed bool
	// idem counts the idempotency records within [meta.IdemFirst, meta.IdemNext).
	idem tally
	// leases says where the leases are.
	leases recordHead
	// private says where the private records are.
	private recordHead
	// ranges are disjoint, by ascending revision.
	ranges []revRange
	// link says what the checkpoint belongs to. It is kept beside the header.
	link link
}

// clone returns a header whose ranges can be changed.
func (h *header) clone() *header {
	c := *h
	c.ranges = append([]revRange(nil), h.ranges...)
	return &c
}

// live returns how many records a slot names.
func (h *header) live() (n int64) {
	for i := range h.ranges {
		n += h.ranges[i].live.n
	}
	return n
}

// encode returns the header with its checksum.
func (h *header) encode() []byte {
	b := []byte{headerVersion}
	members := []byte(wal.SoleMembers)
	if len(h.members) > 0 {
		b[0], members = membersVersion, h.members
	}
	for _, n := range []uint64{h.seq, h.gen, h.index, h.term, soleIndex} {
		b = binary.AppendUvarint(b, n)
	}
	var meta []byte
	if h.seq > 0 {
		meta = h.meta.AppendTo(nil)
	}
	b = appendField(b, meta)
	b = appendField(b, members)
	if b[0] == membersVersion {
		b = binary.AppendUvarint(b, h.flags())
	}
	b = h.idem.appendTo(b)
	b = binary.AppendUvarint(b, h.leases.gen)
	b = h.leases.all.appendTo(b)
	b = binary.AppendUvarint(b, uint64(len(h.ranges)))
	for i := range h.ranges {
		b = h.ranges[i].appendTo(b)
	}
	if h.private.gen != 0 {
		b[0] |= privateHeader
		b = binary.AppendUvarint(b, h.private.gen)
		b = h.private.all.appendTo(b)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// flagInstalled stands for installed, in a header that has members.
const flagInstalled = 1

func (h *header) flags() uint64 {
	if h.installed {
		return flagInstalled
	}
	return 0
}

// decodeHeader reads what encode wrote.
func decodeHeader(b []byte) (*header, error) {
	end := len(b) - 4
	if end < 1 || crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return nil, errChecksum
	}
	version := b[0] &^ privateHeader
	if version > membersVersion {
		return nil, laterHeader(b[0])
	}
	if version < 1 {
		return nil, errHeader
	}
	h, d := new(header), decoder{b: b[1:end]}
	for _, n := range []*uint64{&h.seq, &h.gen, &h.index, &h.term} {
		*n = d.number()
	}
	d.number() // where the log says who the members are
	meta, members := d.field(), d.field()
	if version == membersVersion {
		h.members = bytes.Clone(members)
		flags := d.number()
		if h.installed = flags&flagInstalled != 0; flags > flagInstalled {
			return nil, errHeader
		}
	}
	h.idem = d.tally()
	if version > 1 {
		h.leases = recordHead{d.number(), d.tally()}
	}
	for range min(d.number(), uint64(end)) {
		h.ranges = append(h.ranges, d.revRange())
	}
	if b[0]&privateHeader != 0 {
		h.private = recordHead{d.number(), d.tally()}
	}
	if d.bad || len(d.b) > 0 {
		return nil, errHeader
	}
	if h.seq > 0 {
		var err error
		if h.meta, err = kv.ParseMeta(meta); err != nil {
			return nil, err
		}
	}
	return h, h.check()
}

// check tells whether the ranges follow each other.
func (h *header) check() error {
	for i := range h.ranges {
		r := &h.ranges[i]
		if r.first > r.last || r.last > h.meta.At.Rev || i > 0 && h.ranges[i-1].last >= r.first {
			return fmt.Errorf("%w: range %d to %d is out of order", errHeader, r.first, r.last)
		}
	}
	return nil
}

// A tally counts records, their bytes (key and value in the file), and adds up their
// checksums, so that a record that is lost, doubled or changed shows.
type tally struct {
	n, bytes int64
	sum      uint64
}

// add counts one record.
func (t *tally) add(key, value []byte) {
	t.n++
	t.bytes += int64(len(key) + len(value))
	t.sum += recordSum(key, value)
}

// remove takes one record off again.
func (t *tally) remove(key, value []byte) {
	t.n--
	t.bytes -= int64(len(key) + len(value))
	t.sum -= recordSum(key, value)
}

func (t *tally) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(t.n))
	b = binary.AppendUvarint(b, uint64(t.bytes))
	return binary.AppendUvarint(b, t.sum)
}

// recordSum is the checksum of one record of the file.
func recordSum(key, value []byte) uint64 {
	return uint64(crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value))
}

// A decoder takes an encoded header apart; bad is set once it is not one.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) field() []byte {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	f := d.b[:n:n]
	d.b = d.b[n:]
	return f
}

func (d *decoder) tally() tally {
	return tally{n: int64(d.number()), bytes: int64(d.number()), sum: d.number()}
}

// appendField appends a length and b.
func appendField(to, b []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(b))), b...)
}
