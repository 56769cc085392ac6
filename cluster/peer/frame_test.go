package peer_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"keywatch/cluster/peer"
)

// encode returns the frames of a body.
func encode(body []byte, size int) (b []byte) {
	for s := peer.NewSealer(7); ; {
		n := min(size, len(body))
		b = s.AppendFrame(b, peer.Append, body[:n], len(body)-n)
		if body = body[n:]; len(body) == 0 {
			return b
		}
	}
}

func decode(b []byte) (bodies [][]byte, err error) {
	err = peer.ReadBodies(bytes.NewReader(b), 7, 1<<20, func(_ peer.Class, body []byte) { bodies = append(bodies, body) })
	return bodies, err
}

// If this failed, a body would arrive as another one.
func TestFramesKeepBodies(t *testing.T) {
	for _, size := range []int{0, 1, peer.PieceSize - 1, peer.PieceSize, peer.PieceSize + 1, 3*peer.PieceSize + 5, 1 << 20} {
		body := bytes.Repeat([]byte("keywatch"), size/8+1)[:size]
		got, err := decode(encode(body, peer.PieceSize))
		if !errors.Is(err, io.EOF) || len(got) != 1 || !bytes.Equal(got[0], body) {
			t.Errorf("%d bytes: got %d bodies, %v", size, len(got), err)
		}
	}
}

// If this failed, a byte that changed on the way would reach Raft, which can end the process.
func TestDamagedFrame(t *testing.T) {
	whole := encode([]byte("a body of some bytes"), 8)
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			got, err := decode(b)
			if err == nil || errors.Is(err, io.EOF) || len(got) > 0 {
				t.Fatalf("bit %d of byte %d changed: got %q, %v", bit, i, got, err)
			}
		}
	}
	for n := range len(whole) {
		if got, err := decode(whole[:n]); len(got) > 0 || err == nil {
			t.Errorf("%d of %d bytes: got %q, %v", n, len(whole), got, err)
		}
	}
}

// If this failed, pieces that do not belong together would be joined, or a peer could have memory
// allocated that it does not fill.
func TestFrameRules(t *testing.T) {
	type piece struct{ size, rest int }
	for _, c := range []struct {
		name   string
		pieces []piece
		want   error
	}{
		{"another body between", []piece{{8, 8}, {8, 8}}, peer.ErrFrame},
		{"too much follows", []piece{{8, 8}, {8, 1}}, peer.ErrFrame},
		{"empty piece first", []piece{{0, 8}}, peer.ErrFrame},
		{"empty piece", []piece{{8, 8}, {0, 8}}, peer.ErrFrame},
		{"too large", []piece{{8, 1<<20 - 7}}, peer.ErrFrameSize},
		{"far too large", []piece{{8, 1<<32 - 1}}, peer.ErrFrameSize},
		{"a large piece", []piece{{peer.PieceSize + 1, 0}}, peer.ErrFrameSize},
	} {
		var b []byte
		s := peer.NewSealer(7)
		for _, p := range c.pieces {
			b = s.AppendFrame(b, peer.Append, make([]byte, p.size), p.rest)
		}
		if got, err := decode(b); !errors.Is(err, c.want) || len(got) > 0 {
			t.Errorf("%s: got %d bodies, %v, want %v", c.name, len(got), err, c.want)
		}
	}
}

// If this failed, a body could be read from what is left when pieces are lost, repeated or in
// another order.
func TestLostFrames(t *testing.T) {
	const size = peer.HeaderSize + 8
	whole := encode([]byte("one two three four five six 1234"), 8)
	for _, order := range [][]int{{1, 2, 3}, {3}, {0, 2, 3}, {0, 1, 3}, {0, 0, 1, 2, 3}, {0, 2, 1, 3}} {
		var b []byte
		for _, i := range order {
			b = append(b, whole[i*size:(i+1)*size]...)
		}
		if got, err := decode(b); !errors.Is(err, peer.ErrFrame) || len(got) > 0 {
			t.Errorf("pieces %v: got %q, %v", order, got, err)
		}
	}
}

// If this failed, bytes from another process could be read as a frame, cost memory without bound, or
// end this one.
func FuzzFrames(f *testing.F) {
	f.Add(encode([]byte("hello"), 2), false)
	f.Add(encode(make([]byte, 300), 128), true)
	f.Add(peer.NewSealer(7).AppendFrame(nil, peer.Ping, nil, 0), true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		b = bytes.Clone(b)
		if sealed {
			peer.Seal(b, 7)
		}
		const most = 4096
		total := 0
		err := peer.ReadBodies(bytes.NewReader(b), 7, most, func(class peer.Class, body []byte) {
			total += len(body)
			if len(body) > most || total > len(b) {
				t.Fatalf("a body of %d bytes, %d in all, from %d", len(body), total, len(b))
			}
			again := 0
			_ = peer.ReadBodies(bytes.NewReader(encode(body, 100)), 7, most, func(_ peer.Class, other []byte) {
				if again++; !bytes.Equal(other, body) {
					t.Fatal("a body changed when it was sent again")
				}
			})
			if again != 1 {
				t.Fatalf("%d bodies from one", again)
			}
		})
		if err == nil {
			t.Fatal("reading ended without an error")
		}
	})
}

// If this failed, a hello could end the process, or be read as another one than was said.
func FuzzHello(f *testing.F) {
	f.Add(peer.EncodeHello(peer.Hello{ID: 1, Cluster: "c", Incarnation: 2, Info: []byte("info")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := peer.DecodeHello(b)
		if err != nil {
			if !errors.Is(err, peer.ErrHello) {
				t.Fatal(err)
			}
			return
		}
		if again := peer.EncodeHello(h); !bytes.HasPrefix(b, again) {
			t.Fatalf("%x was read as %x", b, again)
		}
	})
}
