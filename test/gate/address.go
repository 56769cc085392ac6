package gate

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Address returns an address of this machine at which nothing listens, for a server that is told
// its address before it starts. Its port is below those that systems give out unasked, so that no
// connection takes it, not even while the server restarts.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no free port in a hundred")
	return ""
}
