//go:build !linux

package reactor

import (
	"errors"
	"net"
)

// There is no poller here: connections are served by goroutines.
type (
	loop  struct{}
	heavy struct{ reactor *Reactor }
)

const canPoll = false

func (*loop) close() {}

func (r *Reactor) adoptLocked(net.Conn, *net.TCPConn, []byte, func(Socket) Handler) error {
	return errors.ErrUnsupported
}

// peerLeft would tell whether the peer has left, which cannot be known here without
// reading what it has sent before.
func peerLeft(net.Conn) bool { return false }
