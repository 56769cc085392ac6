package peer

import (
	"crypto/tls"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
)

// A RawHello is a hello that a test says by hand.
type RawHello struct {
	ID, To      ID
	Cluster     string
	Incarnation uint64
	Min, Max    uint16
	Kind        uint8
	Group       uint16
}

// Say writes a hello.
func (h RawHello) Say(w io.Writer) error {
	return writeRecord(w, helloRecord, Hello{
		ID: h.ID, to: h.To, Cluster: h.Cluster, Incarnation: h.Incarnation,
		min: h.Min, max: h.Max, kind: kind(h.Kind), group: h.Group,
	}.encode())
}

// ReadHello reads what the other end says.
func ReadHello(r io.Reader) (Hello, error) {
	body, err := readRecord(r, helloRecord)
	if err != nil {
		return Hello{}, err
	}
	return decodeHello(body)
}

// Welcome accepts what the other end said.
func Welcome(conn net.Conn) error { return writeRecord(conn, welcomeRecord, nil) }

// A Sealer makes the frames of one process and connection.
type Sealer struct{ sum uint32 }

// NewSealer returns one for the start of a connection.
func NewSealer(incarnation uint64) *Sealer { return &Sealer{seedOf(incarnation)} }

// AppendFrame appends one piece.
func (s *Sealer) AppendFrame(buf []byte, class Class, piece []byte, rest int) []byte {
	return appendFrame(buf, &s.sum, class, piece, rest)
}

// HeaderSize, PieceSize and Ping are those of frames; RecordSize is that of records.
const (
	HeaderSize = headerSize
	PieceSize  = pieceSize
	Ping       = ping
	RecordSize = recordSize
)

// ReadBodies reads frames as a link does, until an error, and gives each body.
func ReadBodies(r io.Reader, incarnation uint64, max int, give func(Class, []byte)) error {
	frames, large := newFrameReader(r, incarnation), assembler{max: max}
	for {
		f, err := frames.next()
		if err != nil {
			return err
		}
		body, err := large.add(f)
		if err != nil {
			return err
		}
		if body != nil {
			give(f.class, body)
		}
	}
}

// Seal makes the checksums of what might be frames right.
func Seal(b []byte, incarnation uint64) {
	sum := seedOf(incarnation)
	for len(b) >= headerSize {
		n := headerSize + int(binary.BigEndian.Uint32(b)&(pieceSize-1))
		if n > len(b) {
			return
		}
		sum = crc32.Update(crc32.Update(sum, castagnoli, b[:sumAt]), castagnoli, b[headerSize:n])
		binary.BigEndian.PutUint32(b[sumAt:], sum)
		b = b[n:]
	}
}

// DecodeHello reads the body of a hello; EncodeHello writes one.
var DecodeHello = decodeHello

// EncodeHello returns the body of a hello.
func EncodeHello(h Hello) []byte { return h.encode() }

// ClientConfig is what a node with a token and an id dials with.
func ClientConfig(token Token, id ID) *tls.Config {
	s, err := newSecurity(Options{Tokens: []Token{token}, ID: id})
	if err != nil {
		panic(err)
	}
	return s.client
}

// Compresses reports whether a stream is compressed over conn to a node that has versions of the protocol up
// to max.
func Compresses(conn net.Conn, max uint16) bool {
	return (&session{raw: conn, hello: Hello{max: max}}).compresses()
}

// CompressPiece returns the body of the frame of a piece, and whether it is compressed.
func CompressPiece(piece []byte) (body []byte, compressed bool) {
	class, body := new(compressor).compress(piece)
	return body, class == streamCompressed
}

// DecompressPiece returns the piece of a body.
func DecompressPiece(body []byte) ([]byte, error) { return new(decompressor).decompress(body) }
