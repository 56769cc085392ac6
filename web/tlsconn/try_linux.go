package tlsconn

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tryWrite writes p to conn as far as the kernel takes it at once.
func tryWrite(conn net.Conn, p []byte) (n int, err error) {
	own, ok := conn.(syscall.Conn)
	if !ok {
		return tryLater(conn, p)
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, failed = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, failed
	case n < len(p):
		return n, io.ErrShortWrite
	}
	return n, nil
}
