package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// protocol is the name that both ends must agree on during the TLS handshake.
const protocol = "keywatch-peer"

// A Certificate is the operator's own, instead of a token. It must be valid for servers and for
// clients, and for the host of the address under which other nodes have added this one.
type Certificate struct {
	Certificate tls.Certificate
	// Roots are those that certificates of other nodes are verified with.
	Roots *x509.CertPool
}

// LoadCertificate reads files in PEM: a certificate and those between it and the root, its key,
// and the roots.
func LoadCertificate(certFile, keyFile, rootFile string) (*Certificate, error) {
	c := Certificate{Roots: x509.NewCertPool()}
	var err error
	if c.Certificate, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	roots, err := os.ReadFile(rootFile)
	if err != nil {
		return nil, fmt.Errorf("load roots: %w", err)
	}
	if !c.Roots.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("load roots: no certificate in %s", rootFile)
	}
	return &c, nil
}

// security makes connections secure. The zero value leaves them as they are.
type security struct {
	server, client *tls.Config
	tokens         bool
}

func newSecurity(o Options) (security, error) {
	base := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, SessionTicketsDisabled: true}
	switch {
	case o.Insecure:
		return security{}, nil
	case o.Certificate != nil:
		base.Certificates = []tls.Certificate{o.Certificate.Certificate}
		base.RootCAs, base.ClientCAs = o.Certificate.Roots, o.Certificate.Roots
		base.ClientAuth = tls.RequireAndVerifyClientCert
		return security{server: base, client: base}, nil
	}
	var known []ed25519.PublicKey
	for i, t := range o.Tokens {
		key, err := t.authority()
		if err != nil {
			return security{}, fmt.Errorf("peer token: %w", err)
		}
		known = append(known, key.Public().(ed25519.PublicKey))
		if i > 0 {
			continue
		}
		leaf, err := signLeaf(key, o.ID)
		if err != nil {
			return security{}, fmt.Errorf("sign certificate: %w", err)
		}
		base.Certificates = []tls.Certificate{leaf}
	}
	base.ClientAuth = tls.RequireAnyClientCert
	// The usual verification would look at times and hosts. This one replaces it.
	base.InsecureSkipVerify = true
	base.VerifyConnection = func(s tls.ConnectionState) error { return verifyLeaf(s, known) }
	return security{server: base, client: base, tokens: true}, nil
}

// signLeaf returns a certificate for a new key, with the node's id as its name. Its times
// mean nothing: a node with a wrong clock must be able to join.
func signLeaf(authority ed25519.PrivateKey, id ID) (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: id.String()},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: protocol}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, public, authority)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}

// verifyLeaf checks the one signature: that the certificate was made by a node with a known token.
func verifyLeaf(s tls.ConnectionState, known []ed25519.PublicKey) error {
	if len(s.PeerCertificates) == 0 {
		return fmt.Errorf("%w: there is none", ErrCertificate)
	}
	leaf := s.PeerCertificates[0]
	for _, key := range known {
		if leaf.SignatureAlgorithm == x509.PureEd25519 && ed25519.Verify(key, leaf.RawTBSCertificate, leaf.Signature) {
			return nil
		}
	}
	return fmt.Errorf("%w: it was made with another token", ErrCertificate)
}

// wrap does the TLS handshake of s.
func (c security) wrap(s *session, addr string) error {
	if c.server == nil {
		return nil
	}
	conn := tls.Server(s.raw, c.server)
	if s.dialed {
		config := c.client.Clone()
		config.ServerName = hostOf(addr)
		conn = tls.Client(s.raw, config)
	}
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", late(explain(err)))
	}
	s.conn, s.leaf = conn, conn.ConnectionState().PeerCertificates[0]
	return nil
}

// verify checks that the certificate of s belongs to the node that it says it is, which is
// known under addr.
func (c security) verify(s *session, addr string) error {
	switch {
	case c.server == nil:
		return nil
	case c.tokens && s.leaf.Subject.CommonName != s.hello.ID.String():
		return fmt.Errorf("%w: hello says %v, the certificate %q", ErrIdentity, s.hello.ID, s.leaf.Subject.CommonName)
	case c.tokens:
		return nil
	case addr == "":
		return fmt.Errorf("%w: node %v is known under no address", ErrCertificate, s.hello.ID)
	}
	if err := s.leaf.VerifyHostname(hostOf(addr)); err != nil {
		return fmt.Errorf("%w: node %v: %w", ErrCertificate, s.hello.ID, err)
	}
	return nil
}

// explain says what an alert means that the other side sent about our certificate.
func explain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return fmt.Errorf("%w (it refused the certificate of this node: another token or authority?)", err)
	}
	return err
}

// hostOf returns the host of host:port.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// loopback returns ErrInsecure for an address of TCP that is not loopback.
func loopback(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return fmt.Errorf("%w: %v", ErrInsecure, addr)
	}
	return nil
}
