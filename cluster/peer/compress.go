package peer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

const (
	// compressVersion is the first version of the protocol whose nodes read compressed pieces.
	compressVersion = 2
	// plainSum is the length of the checksum of the plain bytes that a compressed piece begins with.
	plainSum = 4
)

// compresses reports whether pieces of a stream are compressed on s: between machines, where the other
// end can read them. Within a machine it would only cost.
func (s *session) compresses() bool {
	return s.hello.max >= compressVersion && loopback(s.raw.RemoteAddr()) != nil
}

// A compressor compresses the pieces of one stream. Each is compressed alone, so that nothing else is
// kept than one piece.
type compressor struct{ buf []byte }

// compress returns the class and body of the frame that carries a piece: compressed, or the piece itself if it would
// not get smaller. The body is valid until the next call.
func (c *compressor) compress(piece []byte) (Class, []byte) {
	if c.buf == nil {
		c.buf = make([]byte, plainSum+s2.MaxEncodedLen(pieceSize))
	}
	binary.BigEndian.PutUint32(c.buf, crc32.Checksum(piece, castagnoli))
	body := c.buf[:plainSum+len(s2.Encode(c.buf[plainSum:], piece))]
	if len(body) >= len(piece) {
		return streamData, piece
	}
	return streamCompressed, body
}

// A decompressor reads compressed pieces of one stream.
type decompressor struct{ buf []byte }

// decompress returns the piece that a body carries, valid until the next call. It returns ErrFrameSize
// for one that would be longer than a piece may be, before any memory is given to it, and ErrFrame for
// one that is not what was compressed.
func (d *decompressor) decompress(body []byte) ([]byte, error) {
	if len(body) < plainSum {
		return nil, fmt.Errorf("%w: a compressed piece of %d bytes", ErrFrame, len(body))
	}
	sum, block := binary.BigEndian.Uint32(body), body[plainSum:]
	n, err := s2.DecodedLen(block)
	if err != nil {
		return nil, fmt.Errorf("%w: compressed piece: %w", ErrFrame, err)
	}
	if n > pieceSize {
		return nil, fmt.Errorf("%w: a compressed piece of %d bytes, at most %d are allowed", ErrFrameSize, n, pieceSize)
	}
	if d.buf == nil {
		d.buf = make([]byte, pieceSize)
	}
	piece, err := s2.Decode(d.buf[:n], block)
	if err != nil {
		return nil, fmt.Errorf("%w: compressed piece: %w", ErrFrame, err)
	}
	if crc32.Checksum(piece, castagnoli) != sum {
		return nil, fmt.Errorf("%w: wrong checksum of a compressed piece", ErrFrame)
	}
	return piece, nil
}
