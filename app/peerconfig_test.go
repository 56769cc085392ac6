package app

import (
	"net"
	"testing"
)

// If a server that listens on its own machine only told clients elsewhere an URL, they would go to what listens
// there on another one.
func TestAdvertise(t *testing.T) {
	for _, c := range []struct{ peer, listen, set, want string }{
		{"10.0.0.1:7072", "0.0.0.0:7070", "", "http://10.0.0.1:7070"},
		{"n1.example:7072", "10.0.0.1:7070", "", "http://n1.example:7070"},
		{"n1.example:7072", "127.0.0.1:7070", "", ""},
		{"10.0.0.1:7072", "127.0.0.1:7070", "", ""},
		{"10.0.0.1:7072", "127.0.0.1:7070", "https://kv.example", "https://kv.example"},
		{"127.0.0.1:7072", "127.0.0.1:7070", "", "http://127.0.0.1:7070"},
		{"localhost:7072", "127.0.0.1:7070", "", "http://localhost:7070"},
		{"[::1]:7072", "[::1]:7070", "", "http://[::1]:7070"},
	} {
		addr, err := net.ResolveTCPAddr("tcp", c.listen)
		if err != nil {
			t.Fatal(err)
		}
		p := PeerConfig{PeerListen: c.peer, PeerAdvertise: c.peer, Advertise: c.set}
		if p.advertise("http", addr); p.Advertise != c.want {
			t.Errorf("servers at %s, clients at %s: got %q, want %q", c.peer, c.listen, p.Advertise, c.want)
		}
	}
}
