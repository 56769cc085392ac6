package fanout

import "errors"

var errChunk = errors.New("a chunk of the body is malformed")

// chunkPhase is where in a chunked body (RFC 9112, section 7.1) a reader is.
type chunkPhase uint8

const (
	chunkSize chunkPhase = iota // in the size
	chunkExt                    // after it, to the end of the line
	chunkData
	chunkEnd // in the line break after the data
	chunkOver
)

// A dechunker takes the framing out of a chunked body, piece by piece.
type dechunker struct {
	phase chunkPhase
	left  uint64 // of the data, or the size as far as it is known
}

// strip removes the framing from b in place and returns what is left.
func (d *dechunker) strip(b []byte) ([]byte, error) {
	out := b[:0]
	for len(b) > 0 {
		switch d.phase {
		case chunkData:
			n := min(uint64(len(b)), d.left)
			out = append(out, b[:n]...)
			b, d.left = b[n:], d.left-n
			if d.left == 0 {
				d.phase = chunkEnd
			}
			continue
		case chunkSize:
			if err := d.size(b[0]); err != nil {
				return nil, err
			}
		case chunkExt:
			if b[0] == '\n' {
				d.begin()
			}
		case chunkEnd:
			if b[0] == '\n' {
				d.phase, d.left = chunkSize, 0
			} else if b[0] != '\r' {
				return nil, errChunk
			}
		case chunkOver:
			return out, nil
		}
		b = b[1:]
	}
	return out, nil
}

func (d *dechunker) begin() {
	if d.phase = chunkData; d.left == 0 {
		d.phase = chunkOver
	}
}

func (d *dechunker) size(c byte) error {
	switch {
	case c >= '0' && c <= '9':
		d.left = d.left<<4 | uint64(c-'0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		d.left = d.left<<4 | uint64(c|0x20-'a'+10)
	case c == '\n':
		d.begin()
	case c == '\r' || c == ';' || c == ' ':
		d.phase = chunkExt
	default:
		return errChunk
	}
	if d.left > 1<<31 {
		return errChunk
	}
	return nil
}
