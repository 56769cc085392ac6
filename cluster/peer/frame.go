package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A Class decides what a frame waits for. The order of frames holds within a class only.
type Class uint8

const (
	ping Class = iota
	// Control is for what is small and urgent: a frame has at most 64 KiB, and is sent before
	// all that waits in Append.
	Control
	// Append is for what may be large: a frame has at most Options.MaxFrame bytes.
	Append

	streamHead   // the first frame of a stream
	streamData   // a piece of it
	streamEnd    // its end; a text says why it is not whole
	streamResult // the receiver's answer; a text says why it failed

	streamCompressed // a piece of it, see compressor
	classes
)

// Queues is how many classes have a queue.
const queues = 2

func (c Class) String() string {
	names := [classes]string{"ping", "control", "append", "stream head", "stream data", "stream end", "stream result", "compressed stream data"}
	if c < classes {
		return names[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

const (
	// pieceSize is the most bytes of a body that go in one piece.
	pieceSize = 64 << 10
	// headerSize is that of a piece: length u32, the body's bytes after this piece u32, group u16,
	// class u8, zero u8, CRC-32C u32, all big-endian. The checksum is that of the sender's
	// incarnation and of all headers and pieces until then, without their checksums: a piece that
	// is lost, repeated or of another process is damaged.
	headerSize = 16
	sumAt      = headerSize - 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seedOf returns the checksum with which those of a process begin on each connection.
func seedOf(incarnation uint64) uint32 {
	return crc32.Checksum(binary.BigEndian.AppendUint64(nil, incarnation), castagnoli)
}

// appendFrame appends a piece of a body of which rest bytes follow. sum is the checksum so far.
func appendFrame(buf []byte, sum *uint32, class Class, piece []byte, rest int) []byte {
	at := len(buf)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(piece)))
	buf = binary.BigEndian.AppendUint32(buf, uint32(rest))
	buf = append(buf, 0, 0, byte(class), 0) // group 0: there is no other yet
	*sum = crc32.Update(crc32.Update(*sum, castagnoli, buf[at:]), castagnoli, piece)
	return append(binary.BigEndian.AppendUint32(buf, *sum), piece...)
}

// A frame is one piece as it was read. Its bytes are valid until the next is read.
type frame struct {
	class Class
	piece []byte
	rest  uint32
}

// A frameReader reads pieces. Nothing is allocated for one; none is returned before its checksum
// was verified.
type frameReader struct {
	buf  *bufio.Reader
	sum  uint32 // the checksum so far
	seen int    // bytes of the piece that was returned last
}

func newFrameReader(r io.Reader, incarnation uint64) *frameReader {
	return &frameReader{buf: bufio.NewReaderSize(r, headerSize+pieceSize), sum: seedOf(incarnation)}
}

// next returns the next piece. It returns io.EOF at an end between two, and ErrFrame or
// ErrFrameSize for one that cannot be read.
func (r *frameReader) next() (frame, error) {
	if _, err := r.buf.Discard(r.seen); err != nil {
		return frame{}, err
	}
	r.seen = 0
	head, err := r.buf.Peek(headerSize)
	if err != nil {
		return frame{}, torn(err, len(head))
	}
	length := binary.BigEndian.Uint32(head)
	if length > pieceSize {
		return frame{}, fmt.Errorf("%w: a piece of %d bytes, at most %d are allowed", ErrFrameSize, length, pieceSize)
	}
	whole, err := r.buf.Peek(headerSize + int(length))
	if err != nil {
		return frame{}, torn(err, len(whole))
	}
	f := frame{class: Class(whole[10]), piece: whole[headerSize:], rest: binary.BigEndian.Uint32(whole[4:])}
	sum := crc32.Update(crc32.Update(r.sum, castagnoli, whole[:sumAt]), castagnoli, f.piece)
	if group := binary.BigEndian.Uint16(whole[8:]); sum != binary.BigEndian.Uint32(whole[sumAt:]) {
		return frame{}, fmt.Errorf("%w: wrong checksum", ErrFrame)
	} else if group != 0 {
		return frame{}, fmt.Errorf("%w: group %d is not supported", ErrFrame, group)
	}
	r.seen, r.sum = len(whole), sum
	return f, nil
}

// torn returns the error of a piece of which only n bytes came.
func torn(err error, n int) error {
	if errors.Is(err, io.EOF) && n > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// An assembler joins the pieces of one class.
type assembler struct {
	max  int
	body []byte // what has come; nil between two bodies
	rest uint32
}

// add returns the body whose last piece f is, nil if there are more to come. The body belongs to
// the caller.
func (a *assembler) add(f frame) ([]byte, error) {
	n := uint32(len(f.piece))
	switch total := uint64(n) + uint64(f.rest); {
	case a.body != nil && (n == 0 || uint64(a.rest) != total):
		return nil, fmt.Errorf("%w: a %s piece of another body", ErrFrame, f.class)
	case a.body == nil && n == 0 && f.rest > 0:
		return nil, fmt.Errorf("%w: an empty %s piece of %d bytes", ErrFrame, f.class, f.rest)
	case a.body == nil && total > uint64(a.max):
		return nil, fmt.Errorf("%w: %d bytes of class %s, at most %d are allowed", ErrFrameSize, total, f.class, a.max)
	case a.body == nil:
		a.body = make([]byte, 0, total)
	}
	a.body, a.rest = append(a.body, f.piece...), f.rest
	if a.rest > 0 {
		return nil, nil
	}
	body := a.body
	a.body = nil
	return body, nil
}
