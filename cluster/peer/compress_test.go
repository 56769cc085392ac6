package peer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/s2"

	"keywatch/cluster/peer"
)

// If this failed, a snapshot between machines would take all its bytes of the network, or would not be
// what was sent; and one within a machine would cost processor time for nothing.
func TestStreamIsCompressedBetweenMachines(t *testing.T) {
	text := bytes.Repeat([]byte(`{"name":"a value as others are"}`), 100_000)
	noise := make([]byte, 1<<20+7)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, c := range []struct {
		name  string
		far   bool
		sent  []byte
		least int // bytes that are carried
		most  int
	}{
		{"text to another machine", true, text, 0, len(text) / 5},
		{"noise to another machine", true, noise, len(noise), len(noise) + len(noise)/50},
		{"text within a machine", false, text, len(text), len(text) + len(text)/50},
		{"both to another machine", true, append(noise, text...), len(noise), len(noise) + len(text)/5},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				token := peer.NewToken()
				var got bytes.Buffer
				a, b := streams(t, network, func(o *peer.Options) {
					o.Tokens, o.Insecure = []peer.Token{token}, false
					if dial := o.Dial; c.far {
						o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
							conn, err := dial(ctx, addr)
							return elsewhere{conn}, err
						}
					}
				}, func(_ context.Context, _ peer.ID, _ []byte, r io.Reader) error {
					_, err := io.Copy(&got, r)
					return err
				})
				var carried atomic.Int64
				network.set(func() { network.damage = func(_, _ string, b []byte) { carried.Add(int64(len(b))) } })
				st := open(t, a, "head")
				if _, err := io.Copy(st, bytes.NewReader(c.sent)); err != nil {
					t.Fatal(err)
				}
				if err := st.Close(); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), c.sent) {
					t.Errorf("%d bytes arrived, want the %d that were sent", got.Len(), len(c.sent))
				}
				if n := int(carried.Load()); n < c.least || n > c.most+64<<10 {
					t.Errorf("%d bytes were carried for %d, want %d to %d", n, len(c.sent), c.least, c.most)
				}
				if s, r := a.stats(2).StreamSent, b.stats(1).StreamReceived; s != r || s != uint64(len(c.sent)) {
					t.Errorf("%d bytes are counted as sent, %d as received", s, r)
				}
			})
		})
	}
}

// If this failed, a server of a release before could not be sent a snapshot while a cluster is upgraded.
func TestOlderNodesGetPlainStreams(t *testing.T) {
	far, near := elsewhere{}, named{remote: "n2"}
	for _, c := range []struct {
		conn net.Conn
		max  uint16
		want bool
	}{{far, 1, false}, {far, 2, true}, {far, 9, true}, {near, 2, false}} {
		if got := peer.Compresses(c.conn, c.max); got != c.want {
			t.Errorf("to %v with versions up to %d: %v", c.conn.RemoteAddr(), c.max, got)
		}
	}
}

// sealed is the body of a compressed piece: its checksum and its compressed bytes.
func sealed(sum uint32, block []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, sum), block...)
}

// If this failed, a node could make another allocate any amount of memory with a few bytes, or a damaged
// piece would become part of a snapshot.
func TestCompressedPieceIsRefused(t *testing.T) {
	sum := func(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
	bomb, text := make([]byte, peer.PieceSize+1), []byte(strings.Repeat("text ", 100))
	whole := sealed(sum(text), s2.Encode(nil, text))
	for _, c := range []struct {
		name string
		body []byte
		want error
	}{
		{"right", whole, nil},
		{"the longest", sealed(sum(bomb[1:]), s2.Encode(nil, bomb[1:])), nil},
		{"too long", sealed(sum(bomb), s2.Encode(nil, bomb)), peer.ErrFrameSize},
		{"says 4 GiB", sealed(0, binary.AppendUvarint(nil, 1<<32-1)), peer.ErrFrameSize},
		{"says more than there can be", sealed(0, binary.AppendUvarint(nil, 1<<60)), peer.ErrFrame},
		{"no checksum", whole[:3], peer.ErrFrame},
		{"nothing", whole[:4], peer.ErrFrame},
		{"cut", whole[:len(whole)-1], peer.ErrFrame},
		{"another checksum", sealed(sum(text)+1, s2.Encode(nil, text)), peer.ErrFrame},
	} {
		if _, err := peer.DecompressPiece(c.body); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// If this failed, a piece would not be what was sent, or bytes from another node would end this process.
func FuzzCompressedPiece(f *testing.F) {
	f.Add([]byte(strings.Repeat("a value ", 1000)))
	f.Add(sealed(0, s2.Encode(nil, make([]byte, 100))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if piece, err := peer.DecompressPiece(b); len(piece) > peer.PieceSize || err != nil && !errors.Is(err, peer.ErrFrame) && !errors.Is(err, peer.ErrFrameSize) {
			t.Fatalf("%d bytes, %v", len(piece), err)
		}
		b = b[:min(len(b), peer.PieceSize)]
		body, compressed := peer.CompressPiece(b)
		if !compressed {
			if !bytes.Equal(body, b) {
				t.Fatal("a piece changed that is sent as it is")
			}
			return
		}
		if piece, err := peer.DecompressPiece(body); err != nil || !bytes.Equal(piece, b) || len(body) >= len(b) {
			t.Fatalf("%d bytes were read of %d, %v", len(piece), len(b), err)
		}
	})
}
