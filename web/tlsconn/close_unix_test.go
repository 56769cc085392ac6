//go:build unix

package tlsconn_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"keywatch/web/tlsconn"
)

// If this failed, a peer that does not read could keep who closes its connection waiting for seconds,
// and a server that stops with it.
func TestCloseDoesNotWait(t *testing.T) {
	_, server := connect(t)
	raw, err := tlsconn.Under(server).(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 1<<20)
	err = raw.Write(func(fd uintptr) bool { // until the kernel takes no more
		for {
			if _, err := syscall.Write(int(fd), piece); err == syscall.EAGAIN {
				return true
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want no wait", err)
	}
}
