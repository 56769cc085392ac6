package web

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"keywatch/web/tlsconn"
)

// acked returns how many bytes the peer has acknowledged since the connection began, 0
// if that cannot be told.
func acked(conn net.Conn) (n uint64) {
	own, ok := tlsconn.Under(conn).(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Bytes_acked
		}
	})
	if err != nil {
		return 0
	}
	return n
}
