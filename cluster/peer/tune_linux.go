package peer

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// unsentMax is how many bytes the kernel takes for a connection beyond what it has sent.
const unsentMax = 128 << 10

// tune has the kernel end a connection of which nothing is acknowledged for a time, or the
// receiver's window is shut, and keep little that it has not sent: a control frame would wait for
// all of it. What fails is left as it is.
func tune(conn net.Conn, timeout time.Duration) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentMax)
	})
}
