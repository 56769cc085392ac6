package certs_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/app/certs"
	"keywatch/app/certs/certstest"
)

// day is how far apart the times of these tests are.
const day = 24 * time.Hour

// sign returns a certificate that an authority has signed, its own if that is nil, for a name and for
// a day.
func sign(t testing.TB, by *certstest.Pair, name string) *certstest.Pair {
	t.Helper()
	return certstest.Sign(t, by, name, time.Now().Add(day))
}

// A folder has the files of a server.
type folder struct {
	t             testing.TB
	cert, key, ca string
}

func newFolder(t testing.TB, s *certstest.Pair) *folder {
	dir := t.TempDir()
	f := &folder{t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	f.write(f.cert, s.Cert)
	f.write(f.key, s.Key)
	return f
}

func (f *folder) write(path string, b []byte) {
	f.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// open opens a keeper of the files, which is closed when the test ends.
func (f *folder) open(change ...func(*certs.Options)) *certs.Keeper {
	f.t.Helper()
	opts := certs.Options{CertFile: f.cert, KeyFile: f.key}
	for _, c := range change {
		c(&opts)
	}
	return open(f.t, opts)
}

func open(t testing.TB, opts certs.Options) *certs.Keeper {
	t.Helper()
	k, err := certs.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// meet has a client and a server shake hands and say one byte to each other. It returns what the
// client saw.
func meet(t testing.TB, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer a.Close()
		conn := tls.Server(a, server)
		if conn.Handshake() == nil {
			_, _ = conn.Write([]byte("k"))
		}
	}()
	defer func() { _ = b.Close(); <-done }()
	conn := tls.Client(b, client)
	// The server may refuse the client's certificate when the client has finished.
	_, err = conn.Read(make([]byte, 1))
	return conn.ConnectionState(), err
}

// trusting returns the configuration of a client that trusts an authority.
func trusting(t testing.TB, authority *certstest.Pair, name string) *tls.Config {
	t.Helper()
	config := certstest.Trusting(t, authority)
	config.ServerName = name
	return config
}

// gauge returns the value of a metric of a keeper.
func gauge(t testing.TB, k *certs.Keeper, name string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(k)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// serves reports whether the server shows a certificate.
func serves(t testing.TB, k *certs.Keeper, want *certstest.Pair) bool {
	t.Helper()
	state, err := meet(t, k.Config(), &tls.Config{InsecureSkipVerify: true})
	return err == nil && bytes.Equal(state.PeerCertificates[0].Raw, want.Leaf.Raw)
}
