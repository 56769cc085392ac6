package web

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"github.com/valyala/fasthttp"

	"keywatch/test/gate"
	"keywatch/web/tlsconn"
)

// If this failed, a request could not tell by which certificate its client has proved who it is.
func TestTLSStateOfARequest(t *testing.T) {
	server, client := gate.TLS(t)
	server.ClientAuth, client.Certificates = tls.RequireAnyClientCert, server.Certificates
	a, b := net.Pipe()
	own, peer := &conn{Conn: tlsconn.Server(a, server), conns: new(connections)}, tls.Client(b, client)
	defer a.Close()
	defer b.Close()
	shaken := make(chan error, 1)
	go func() { shaken <- own.tls().Handshake() }()
	if err := errors.Join(peer.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	state := func(c *conn) *tls.ConnectionState {
		var f fasthttp.RequestCtx
		f.Init2(c, nil, false)
		return (&request{f: &f}).tlsState()
	}
	got := state(own)
	if got == nil || len(got.PeerCertificates) != 1 || !got.PeerCertificates[0].Equal(server.Certificates[0].Leaf) {
		t.Errorf("got %+v, want the client's certificate", got)
	}
	if state(own) != got {
		t.Error("each request of a connection has its own state")
	}
	if got := state(&conn{Conn: a}); got != nil {
		t.Errorf("got %+v of clear text", got)
	}
}
