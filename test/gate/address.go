package gate

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
)

// given counts the addresses of this process.
var given atomic.Int32

// firstPort is the first port that Address gives.
const firstPort = 7100

// Address returns an address of this machine at which nothing listens, for a server that is
// told its address before it starts. On Linux it has an IP address of this process: no port of
// 127.0.0.1 is safe from the connections of others between two starts of a server.
func Address(t testing.TB) string {
	t.Helper()
	at := "127.0.0.1:0"
	if runtime.GOOS == "linux" {
		pid := os.Getpid()
		at = fmt.Sprintf("127.%d.%d.%d:%d", 1+pid>>16&63, pid>>8&255, pid&255, firstPort+given.Add(1))
	}
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
