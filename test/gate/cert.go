package gate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// TLS returns configurations of TLS for servers on this machine and for their clients, which trust
// the servers' certificate. They are the caller's own.
func TLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	made, err := common()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(made.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{made}}, &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// Certificate returns a certificate for this machine that no client trusts.
func Certificate(t testing.TB) tls.Certificate {
	t.Helper()
	made, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// common returns the certificate of all servers.
var common = sync.OnceValues(certificate)

// certificate makes a certificate that signs itself, for the loopback interface.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
