package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// An authority signs certificates for servers, and keeps its own in a file.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate and its key, and writes both to files with that name.
func (a *authority) sign(t testing.TB, name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// args returns the flags of a server with a certificate for its address.
func (a *authority) args(t testing.TB, name, address string) []string {
	t.Helper()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	a.sign(t, name, &x509.Certificate{
		IPAddresses: []net.IP{net.ParseIP(host)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	path := func(file string) string { return filepath.Join(a.dir, file) }
	return []string{"--peer-cert", path(name + ".pem"), "--peer-key", path(name + ".key"), "--peer-ca", path("ca.pem")}
}

// startAs starts a server with a certificate of an authority instead of the token, and waits until it answers.
func (w *team) startAs(a *authority, i int, more ...string) {
	w.t.Helper()
	args := w.args(i, append(a.args(w.t, fmt.Sprint("n", i+1), w.peer[i]), more...)...)
	at := slices.Index(args, "--peer-token-file")
	s, err := launch(gate.Context(w.t), slices.Delete(args, at, at+2)...)
	if err != nil {
		w.t.Fatalf("n%d: %v", i+1, err)
	}
	w.servers[i] = s
	w.t.Cleanup(func() { s.end(w.t) })
}

// If this failed, an operator who has their own certificates could not have a cluster.
func TestOwnCertificatesJoin(t *testing.T) {
	t.Parallel()
	w, ca := newTeam(t, 2), newAuthority(t)
	w.startAs(ca, 0)
	w.ready(0)
	w.client(0).Put(t, "a", "1")
	w.startAs(ca, 1, "--join", w.peer[0])
	w.ready(1)
	w.client(1).Must(t, load.GetCall("a"), 200)
	w.client(1).Put(t, "b", "2") // through the leader
	w.client(0).Must(t, load.GetCall("b"), 200)
	w.until(0, "n2 is reached", func(d clusterDocument) bool { return len(d.Members) == 2 && d.Members[1].State != "unreachable" })
}
