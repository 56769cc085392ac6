package peer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keywatch/cluster/peer"
)

// If this failed, the kernel would end a stream whose receiver waits for a disk, after the time
// that is meant for a connection of which nothing is heard, or would hold much that a control
// frame waits for.
func TestSocketOptions(t *testing.T) {
	conns := make(chan net.Conn, 10)
	a, _ := pair(t, func(o *peer.Options) {
		o.Insecure = true
		o.Receive = func(peer.ID, peer.Class, []byte) {}
		o.ReceiveStream = func(_ context.Context, _ peer.ID, _ []byte, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		}
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			if o.ID == 2 {
				return nil, errors.New("only node 1 dials")
			}
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			conns <- conn
			return conn, err
		}
	})
	for len(conns) > 1 {
		<-conns // a dial that came too soon
	}
	link := <-conns
	st, err := a.Stream(t.Context(), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, c := range []struct {
		name string
		conn net.Conn
		want time.Duration
	}{{"link", link, 3 * time.Second}, {"stream", <-conns, 30 * time.Second}} {
		raw, err := c.conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			timeout, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
			unsent, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
			if timeout != int(c.want.Milliseconds()) || unsent != 128<<10 {
				t.Errorf("%s: timeout of %d ms, want %v; %d bytes unsent", c.name, timeout, c.want, unsent)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}
