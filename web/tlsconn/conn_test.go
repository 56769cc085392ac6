package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/web/tlsconn"
)

// connect returns the two ends of a connection over TLS whose handshake is done.
func connect(t *testing.T, change ...func(*tls.Config)) (client *tls.Conn, server *tlsconn.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	gate.Bound(t, dialled)
	gate.Bound(t, accepted)
	serverConfig, clientConfig := gate.TLS(t)
	serverConfig.SessionTicketsDisabled = true
	for _, c := range change {
		c(clientConfig)
	}
	server, client = tlsconn.Server(accepted, serverConfig), tls.Client(dialled, clientConfig)
	t.Cleanup(func() { client.Close(); server.Close() })
	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	_ = accepted.SetDeadline(time.Time{})
	return client, server
}

// If this failed, a client could not tell the end of what it was told from a connection that was cut.
func TestCloseSaysSo(t *testing.T) {
	client, server := connect(t)
	if _, err := server.Write([]byte("all")); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, []byte("all")) {
		t.Errorf("got %q, %v, want all", got, err)
	}
}

// If this failed, what looks at a connection's socket would not find it under TLS.
func TestUnder(t *testing.T) {
	_, server := connect(t)
	if _, ok := tlsconn.Under(server).(*net.TCPConn); !ok {
		t.Errorf("got %T, want a *net.TCPConn", tlsconn.Under(server))
	}
	a, _ := net.Pipe()
	defer a.Close()
	if tlsconn.Under(a) != a {
		t.Error("got another connection than one in clear text")
	}
}
