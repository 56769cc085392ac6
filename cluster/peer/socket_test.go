package peer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"

	"keywatch/cluster/peer"
	"keywatch/test/cputime"
	"keywatch/test/gate"
)

// pair connects two meshes over loopback.
func pair(t testing.TB, change func(*peer.Options)) (a, b *peer.Mesh) {
	t.Helper()
	open := func(id peer.ID) *peer.Mesh {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o := peer.Options{ID: id, Listener: ln, Logger: slog.New(slog.DiscardHandler), StreamRate: -1}
		change(&o)
		m, err := peer.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	a, b = open(1), open(2)
	_ = b.Add(1, a.Addr().String())
	_ = a.Add(2, b.Addr().String())
	up := func(m *peer.Mesh) bool { return m.Stats().Peers[0].Reachable }
	gate.Until(t, func() bool { return up(a) && up(b) }, "the nodes do not connect: %v", a.Stats())
	return a, b
}

// If this failed, what the other tests show in memory would not be so over sockets.
func TestOverSockets(t *testing.T) {
	for name, security := range map[string]func(*peer.Options){
		"plain": func(o *peer.Options) { o.Insecure = true },
		"TLS":   with(peer.NewToken()),
	} {
		t.Run(name, func(t *testing.T) {
			const frames = 50
			order := make(chan int, frames)
			streamed := make(chan []byte, 1)
			a, _ := pair(t, func(o *peer.Options) {
				security(o)
				o.Receive = func(_ peer.ID, _ peer.Class, body []byte) {
					order <- int(body[0])
					if !bytes.Equal(body, bytes.Repeat(body[:1], len(body))) {
						t.Error("a frame was changed on the way")
					}
				}
				o.ReceiveStream = func(_ context.Context, _ peer.ID, _ []byte, r io.Reader) error {
					b, err := io.ReadAll(r)
					streamed <- b
					return err
				}
			})
			for i := range frames {
				body := bytes.Repeat([]byte{byte(i)}, 1+i*5000)
				gate.Until(t, func() bool { return a.Send(2, peer.Append, body) }, "the queue stays full")
			}
			for want := range frames {
				if got := <-order; got != want {
					t.Fatalf("frame %d came in place of %d", got, want)
				}
			}
			st, err := a.Stream(t.Context(), 2, []byte("head"))
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte("snapshot"), 1<<17)
			if _, err := st.Write(want); err != nil {
				t.Fatal(err)
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			if got := <-streamed; !bytes.Equal(got, want) {
				t.Errorf("%d bytes of a stream arrived, want %d", len(got), len(want))
			}
		})
	}
}

// If this failed, a stranger over a socket would not be told apart, or a refusal would be lost on its
// way because the connection was reset.
func TestStrangerOverSocket(t *testing.T) {
	_, b := pair(t, func(o *peer.Options) {
		o.Tokens = []peer.Token{{}}
		o.Receive = func(peer.ID, peer.Class, []byte) {}
	})
	for range 20 {
		conn, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		gate.Bound(t, conn)
		if _, err := io.WriteString(conn, strings.Repeat("GET / HTTP/1.1\r\n", 2000)); err != nil {
			t.Fatal(err)
		}
		if c, ok := conn.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("the end of the connection: %v", err)
		}
		conn.Close()
	}
	gate.Until(t, func() bool { s := b.Stats(); return s.Refused == 20 && s.Handshakes == 0 }, "%+v", b.Stats())
}

// BenchmarkSend sends frames from one mesh to another over loopback, so many ahead of those received.
// Processor time is that of both ends.
func BenchmarkSend(b *testing.B) {
	for _, security := range []string{"plain", "TLS"} {
		for _, c := range []struct{ size, ahead int }{{64, 1}, {64, 1024}, {256 << 10, 1}, {256 << 10, 16}} {
			b.Run(fmt.Sprint("security=", security, "/size=", c.size, "/ahead=", c.ahead), func(b *testing.B) {
				benchSend(b, security == "TLS", c.size, c.ahead)
			})
		}
	}
}

func benchSend(b *testing.B, secure bool, size, ahead int) {
	window := make(chan struct{}, ahead)
	done := make(chan struct{})
	var got int
	class := peer.Append
	if size <= 64 {
		class = peer.Control
	}
	m, _ := pair(b, func(o *peer.Options) {
		o.Insecure = !secure
		if secure {
			o.Tokens = []peer.Token{{}}
		}
		o.Receive = func(peer.ID, peer.Class, []byte) {
			<-window
			if got++; got == b.N {
				close(done)
			}
		}
	})
	body := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	used := cputime.Used()
	for range b.N {
		window <- struct{}{}
		for !m.Send(2, class, body) {
			runtime.Gosched()
		}
	}
	<-done
	b.StopTimer()
	used = cputime.Used() - used
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/frame")
}
