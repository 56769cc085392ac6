package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
)

// A source has the certificate of a server and its key, in PEM.
type source interface {
	read() (cert, key []byte, err error)
	// String names it in errors.
	String() string
}

// files are a source that an operator looks after.
type files struct{ cert, key string }

func (f files) read() (cert, key []byte, err error) {
	if cert, err = os.ReadFile(f.cert); err != nil {
		return nil, nil, fmt.Errorf("read certificate: %w", err)
	}
	if key, err = os.ReadFile(f.key); err != nil {
		return nil, nil, fmt.Errorf("read key: %w", err)
	}
	return cert, key, nil
}

func (f files) String() string { return fmt.Sprintf("certificate %s and key %s", f.cert, f.key) }

// A material is what the files contained at one time, and what connections are accepted with because
// of it. It is immutable.
type material struct {
	cert, key, authorities []byte // PEM
	config                 *tls.Config
	leaf                   *x509.Certificate
}

// same reports whether the files contained the same.
func (m *material) same(other *material) bool {
	return bytes.Equal(m.cert, other.cert) && bytes.Equal(m.key, other.key) && bytes.Equal(m.authorities, other.authorities)
}

// load reads everything that connections need.
func (o *Options) load(from source) (*material, error) {
	m := new(material)
	var err error
	if m.cert, m.key, err = from.read(); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(m.cert, m.key)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", from, err)
	}
	m.leaf = pair.Leaf
	m.config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true, Time: o.Now}
	if m.authorities, err = readAuthorities(o.ClientCAFile); err != nil || m.authorities == nil {
		return m, err
	}
	m.config.ClientCAs = x509.NewCertPool()
	if !m.config.ClientCAs.AppendCertsFromPEM(m.authorities) {
		return nil, fmt.Errorf("authorities of clients %s: %w", o.ClientCAFile, errNoCertificate)
	}
	m.config.ClientAuth = tls.VerifyClientCertIfGiven
	if o.RequireClient {
		m.config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return m, nil
}

// readAuthorities reads the certificates that those of clients are verified with, nil if there is no
// such file.
func readAuthorities(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read authorities of clients: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authorities of clients %s: %w", path, errNoCertificate)
	}
	return pem, nil
}

// Fingerprint returns the SHA-256 of a certificate's public key, as sha256: and 64 hexadecimal
// digits. It stays the same for all certificates of one key.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}
