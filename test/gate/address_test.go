package gate_test

import (
	"net"
	"testing"

	"keywatch/test/gate"
)

// If this failed, a server that is told its address before it starts would find another one there.
func TestAddress(t *testing.T) {
	for range 50 {
		ln, err := net.Listen("tcp", gate.Address(t))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if port := ln.Addr().(*net.TCPAddr).Port; port < 10_000 || port >= 30_000 {
			t.Errorf("got port %d, which a connection could take", port)
		}
	}
}
