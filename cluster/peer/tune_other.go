//go:build !linux

package peer

import (
	"net"
	"time"
)

// tune is for Linux.
func tune(net.Conn, time.Duration) {}
