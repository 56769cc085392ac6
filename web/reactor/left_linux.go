package reactor

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"keywatch/web/tlsconn"
)

// peerLeft reports whether the peer has closed the connection, or its sending side,
// whatever it has sent before.
func peerLeft(conn net.Conn) (left bool) {
	own, ok := tlsconn.Under(conn).(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		events := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(events, 0)
		left = err == nil && n > 0
	})
	return left && err == nil
}
