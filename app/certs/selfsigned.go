package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

const (
	// selfSignedFor is how long a certificate is valid, renewBefore how long before its end another
	// takes its place.
	selfSignedFor = 365 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
	// CertName and KeyName are the files of a self-signed certificate in its folder.
	CertName, KeyName = "cert.pem", "key.pem"
)

// A selfSigned is a source that makes what it has: a key for good, and a certificate whenever the
// one that is there ends soon or is for other names.
type selfSigned struct {
	folder string
	names  []string
	now    func() time.Time
	// cert and key are what was made, where there is no folder.
	cert, key []byte
}

// ownNames returns the names that a certificate is for, sorted: those given and this machine's, as
// far as a certificate can have them.
func ownNames(more []string) []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, more...)
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return net.ParseIP(name) == nil && !hostName.MatchString(name) })
	slices.Sort(names)
	return slices.Compact(names)
}

// hostName matches the host names that a certificate can have, and be verified by.
var hostName = regexp.MustCompile(`^[0-9A-Za-z_-]+([.][0-9A-Za-z_-]+)*$`)

func (s *selfSigned) String() string {
	if s.folder == "" {
		return "self-signed certificate"
	}
	return files{filepath.Join(s.folder, CertName), filepath.Join(s.folder, KeyName)}.String()
}

func (s *selfSigned) read() (cert, key []byte, err error) {
	if key, err = s.readKey(); err != nil {
		return nil, nil, err
	}
	if cert, err = s.readFile(CertName, s.cert); err != nil {
		return nil, nil, err
	}
	if s.serves(cert) {
		return cert, key, nil
	}
	if cert, err = s.sign(key); err != nil {
		return nil, nil, fmt.Errorf("%v: %w", s, err)
	}
	s.cert = cert
	return cert, key, s.writeFile(CertName, cert)
}

// readKey returns the key, and makes it if there is none. One that is there is never replaced:
// clients know its fingerprint.
func (s *selfSigned) readKey() ([]byte, error) {
	key, err := s.readFile(KeyName, s.key)
	if err != nil || key != nil {
		return key, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	s.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return s.key, s.writeFile(KeyName, s.key)
}

// serves reports whether a certificate is for the names, and valid for some time.
func (s *selfSigned) serves(cert []byte) bool {
	block, _ := pem.Decode(cert)
	if block == nil {
		return false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || s.now().Before(c.NotBefore) || s.now().Add(renewBefore).After(c.NotAfter) {
		return false
	}
	for _, name := range s.names {
		if c.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// sign returns a certificate for a key.
func (s *selfSigned) sign(key []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("there is no key in PEM in it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("expected a key of ECDSA, got a %T", parsed)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := s.now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "keywatch"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedFor), // clients' clocks differ
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range s.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// readFile returns what a file of the folder contains, nil if there is none; without a folder what
// was made before.
func (s *selfSigned) readFile(name string, made []byte) ([]byte, error) {
	if s.folder == "" {
		return made, nil
	}
	b, err := os.ReadFile(filepath.Join(s.folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// writeFile writes a file of the folder, which its owner may read. A crash leaves either the old file
// or the new one.
func (s *selfSigned) writeFile(name string, b []byte) error {
	if s.folder == "" {
		return nil
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.folder, name+"-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.folder, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
