package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// An ID names a node for good. It is never 0.
type ID uint64

// String returns 16 hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// minVersion and maxVersion are those of the protocol that this code has. Version 2 adds compressed
// pieces of streams.
const (
	minVersion = 1
	maxVersion = compressVersion
)

const (
	// MaxInfo is the most bytes of Hello.Info.
	MaxInfo = 32 << 10
	// MaxCluster is the most bytes of a cluster's id.
	MaxCluster = 64
	// maxRecord is the most bytes of a record's body.
	maxRecord = 64 << 10
)

// A Hello is what a node says about itself at the start of a connection.
type Hello struct {
	// ID is the node's, proved by its certificate if there are tokens.
	ID ID
	// Cluster is the id of its cluster; empty for a node that has none yet.
	Cluster string
	// Incarnation is that of its process.
	Incarnation uint64
	// Info is what its Options.Info returned; it belongs to the receiver.
	Info []byte
	// Remote is the network address of the connection's other end.
	Remote string

	min, max uint16 // versions of the protocol
	kind     kind
	group    uint16
	to       ID // the node that was dialled; 0 in an answer
}

// A kind says what a connection is for.
type kind uint8

const (
	linkKind kind = 1 + iota
	streamKind
	askKind
)

// Records are what a connection carries before frames: "kwpr", type u8, length u24, CRC-32C of
// the body u32, body.
const (
	recordMagic = "kwpr"
	recordSize  = 12

	helloRecord     = 1
	welcomeRecord   = 2 // empty: the dialler accepts the answer
	refusedRecord   = 3 // a text
	redundantRecord = 4 // a text; there is another connection, so this is no failure
	questionRecord  = 5 // of who asks: its body is the owner's, as that of the answer
	answerRecord    = 6
)

func (h Hello) encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, h.min)
	b = binary.BigEndian.AppendUint16(b, h.max)
	b = append(b, byte(h.kind))
	b = binary.BigEndian.AppendUint16(b, h.group)
	for _, n := range []uint64{uint64(h.ID), uint64(h.to), h.Incarnation} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(append(b, byte(len(h.Cluster))), h.Cluster...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(h.Info))), h.Info...)
}

// decodeHello reads a hello. Bytes after it are those of a later version.
func decodeHello(b []byte) (h Hello, err error) {
	const fixed = 2 + 2 + 1 + 2 + 3*8 + 1
	if len(b) < fixed {
		return Hello{}, fmt.Errorf("%w: %d bytes", ErrHello, len(b))
	}
	h.min, h.max = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	h.kind, h.group = kind(b[4]), binary.BigEndian.Uint16(b[5:])
	h.ID, h.to = ID(binary.BigEndian.Uint64(b[7:])), ID(binary.BigEndian.Uint64(b[15:]))
	h.Incarnation = binary.BigEndian.Uint64(b[23:])
	n := int(b[fixed-1])
	b = b[fixed:]
	if n > MaxCluster || len(b) < n+4 {
		return Hello{}, fmt.Errorf("%w: cluster id of %d bytes", ErrHello, n)
	}
	h.Cluster = string(b[:n])
	size := binary.BigEndian.Uint32(b[n:])
	b = b[n+4:]
	if size > MaxInfo || int(size) > len(b) {
		return Hello{}, fmt.Errorf("%w: info of %d bytes", ErrHello, size)
	}
	h.Info = b[:size:size]
	return h, nil
}

// check returns why a hello that was decoded cannot be from a node of any cluster.
func (h Hello) check() error {
	switch {
	case h.max < minVersion || h.min > maxVersion:
		return fmt.Errorf("%w: one has %d to %d, the other %d to %d", ErrVersion, minVersion, maxVersion, h.min, h.max)
	case h.ID == 0, h.kind < linkKind, h.kind > askKind:
		return fmt.Errorf("%w: id %v, kind %d", ErrHello, h.ID, h.kind)
	case h.group != 0:
		return fmt.Errorf("%w: group %d is not supported", ErrHello, h.group)
	}
	return nil
}

func writeRecord(w io.Writer, typ uint8, body []byte) error {
	b := append(make([]byte, 0, recordSize+len(body)), recordMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(typ)<<24|uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	_, err := w.Write(append(b, body...))
	return err
}

// readRecord reads a record of one type. A refusal instead is returned as an error.
func readRecord(r io.Reader, want uint8) ([]byte, error) {
	var head [recordSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, late(err)
	}
	typ, length := head[4], binary.BigEndian.Uint32(head[4:])&(1<<24-1)
	if string(head[:4]) != recordMagic || length > maxRecord {
		return nil, fmt.Errorf("%w: it begins with %q", ErrHello, head[:8])
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, late(err)
	}
	switch {
	case crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(head[8:]):
		return nil, fmt.Errorf("%w: wrong checksum", ErrHello)
	case typ == want:
		return body, nil
	case typ == refusedRecord:
		return nil, refusedText(body)
	case typ == redundantRecord:
		return nil, errRedundant
	}
	return nil, fmt.Errorf("%w: record %d, expected %d", ErrHello, typ, want)
}

// late names the error of a handshake that took too long.
func late(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrHelloTimeout
	}
	return err
}
