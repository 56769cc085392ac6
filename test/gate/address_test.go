package gate_test

import (
	"net"
	"testing"

	"keywatch/test/gate"
)

func TestAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		at := gate.Address(t)
		if host, _, err := net.SplitHostPort(at); err != nil || !net.ParseIP(host).IsLoopback() || seen[at] {
			t.Fatalf("got %q, %v, want another loopback address each time", at, err)
		}
		seen[at] = true
		ln, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
}
