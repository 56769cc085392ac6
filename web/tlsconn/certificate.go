package tlsconn

import (
	"crypto/tls"
	"crypto/x509"

	"keywatch/auth"
)

// ClientCert returns what counts of the certificate that the client has shown, nil if it has shown none
// that was verified. The handshake is done.
func (c *Conn) ClientCert() *auth.ClientCert {
	state := c.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	leaf := state.VerifiedChains[0][0]
	return auth.NewClientCert(namesOf(leaf), leaf.Raw, leaf.NotAfter.UnixMilli())
}

// namesOf returns the names of a certificate as users have them.
func namesOf(c *x509.Certificate) (all []string) {
	for _, u := range c.URIs {
		all = append(all, auth.CertURI+u.String())
	}
	for _, name := range c.DNSNames {
		all = append(all, auth.CertDNS+name)
	}
	for _, name := range c.EmailAddresses {
		all = append(all, auth.CertEmail+name)
	}
	return append(all, auth.CertCN+c.Subject.CommonName)
}

// chainCost returns about how many bytes of memory TLS keeps of the certificates that the peer has sent.
func chainCost(state tls.ConnectionState) (n int) {
	for _, c := range state.PeerCertificates {
		n += certCost + 2*len(c.Raw)
	}
	return n
}

// certCost is what a certificate takes beside its bytes.
const certCost = 4 << 10
