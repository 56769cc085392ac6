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
	serverConfig.SessionTicketsDisabled, serverConfig.ClientAuth = true, tls.RequestClientCert
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

// If this failed, strangers could have the server keep far more of a handshake than it counts for one: a
// certificate may have 256 KiB.
func TestHandshakeIsBounded(t *testing.T) {
	client, accepted := pipe(t)
	config, _ := gate.TLS(t)
	server := tlsconn.Server(accepted, config)
	defer server.Close()
	sent := make(chan int, 1)
	go func() {
		record := append([]byte{22, 3, 1, 0x20, 0}, make([]byte, 0x2000)...)
		copy(record[5:], []byte{1, 0, 0xf0, 0}) // a hello of 60 KiB
		n, _ := client.Write(bytes.Repeat(record, 7))
		sent <- n
	}()
	err := server.Handshake()
	if !errors.Is(err, tlsconn.ErrHandshakeTooLarge) {
		t.Errorf("got %v, want %v", err, tlsconn.ErrHandshakeTooLarge)
	}
	client.Close()
	if n := <-sent; n > tlsconn.HandshakeMax+64 {
		t.Errorf("%d bytes were read of a handshake", n)
	}
}

// pipe returns the two ends of a connection that keeps nothing.
func pipe(t *testing.T) (a, b net.Conn) {
	a, b = net.Pipe()
	gate.Bound(t, a)
	gate.Bound(t, b)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// If this failed, what a client sends right behind its handshake could end the connection: it is read
// together with it.
func TestMuchBehindAHandshake(t *testing.T) {
	client, server := connect(t)
	text := bytes.Repeat([]byte("x"), 4*tlsconn.HandshakeMax)
	go func() { _, _ = client.Write(text) }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, text) {
		t.Errorf("got %v", err)
	}
}

// If this failed, a client's certificates would take memory that is not counted.
func TestCertificateCost(t *testing.T) {
	_, without := connect(t)
	shown := gate.Certificate(t)
	_, with := connect(t, func(c *tls.Config) { c.Certificates = []tls.Certificate{shown} })
	if without.CertificateCost() != 0 || with.CertificateCost() < len(shown.Leaf.Raw) {
		t.Errorf("got %d without a certificate, %d with one", without.CertificateCost(), with.CertificateCost())
	}
	if without.ClientCert() != nil || with.ClientCert() != nil {
		t.Error("a certificate that was not verified counts")
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
