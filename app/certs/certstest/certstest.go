// Package certstest makes certificates for tests.
package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A Pair is a certificate with its key.
type Pair struct {
	Leaf    *x509.Certificate
	Private *ecdsa.PrivateKey
	// Cert and Key are both in PEM.
	Cert, Key []byte
}

// Authority returns a certificate that may sign others.
func Authority(t testing.TB) *Pair {
	t.Helper()
	return issue(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
	})
}

// Sign returns a certificate for a host name or an address, which is also its common name, for servers
// and clients. It was valid an hour ago, and is until then. It has no authority but itself if by is
// nil.
func Sign(t testing.TB, by *Pair, name string, until time.Time) *Pair {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	return issue(t, by, template)
}

func issue(t testing.TB, by *Pair, template *x509.Certificate) *Pair {
	t.Helper()
	p := new(Pair)
	var err error
	if p.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<60)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.BasicConstraintsValid = time.Now().Add(-time.Hour), true
	parent, private := template, p.Private
	if by != nil {
		parent, private = by.Leaf, by.Private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, p.Private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	if p.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(p.Private)
	if err != nil {
		t.Fatal(err)
	}
	p.Cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.Key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return p
}

// TLS returns the pair for a tls.Config.
func (p *Pair) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Write writes both to files of a folder, name.pem and name.key, and returns their paths.
func (p *Pair) Write(t testing.TB, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for path, b := range map[string][]byte{cert: p.Cert, key: p.Key} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Trusting returns the configuration of a client that trusts what an authority has signed, and that
// shows certificates of its own, if any.
func Trusting(t testing.TB, authority *Pair, shows ...*Pair) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(authority.Leaf)
	for _, p := range shows {
		pair := p.TLS(t)
		// Whatever authorities the server has named.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}
