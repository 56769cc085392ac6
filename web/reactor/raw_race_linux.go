//go:build race

package reactor

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The calls of package syscall tell the race detector what a connection orders.

func sendNow(fd int, b []byte) (int, unix.Errno) { return counted(syscall.Write(fd, b)) }
func recvNow(fd int, b []byte) (int, unix.Errno) { return counted(syscall.Read(fd, b)) }

func counted(n int, err error) (int, unix.Errno) {
	errno, _ := err.(syscall.Errno)
	return max(n, 0), errno
}
