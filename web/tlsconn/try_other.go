//go:build !linux

package tlsconn

import "net"

// tryWrite writes p to conn within tryWait.
func tryWrite(conn net.Conn, p []byte) (int, error) { return tryLater(conn, p) }
