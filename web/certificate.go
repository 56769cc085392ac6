package web

import (
	"crypto/x509"

	"keywatch/auth"
)

// certified returns the caller that the client's certificate proves, or the one without a credential if
// the client has shown none. Its chain and dates were verified by the handshake.
func (r *request) certified(table *auth.Table) (*auth.Caller, error) {
	state := r.tlsState()
	if state == nil || len(state.VerifiedChains) == 0 {
		return table.Anonymous(), nil
	}
	// One caller for all requests of a connection, as long as it is good.
	rare := r.connection().needRare()
	if rare.certified != nil && rare.certified.Good() == nil {
		return rare.certified, nil
	}
	cert := state.VerifiedChains[0][0]
	who, err := table.ByCertificate(certNames(cert), cert.Raw, cert.NotAfter.UnixMilli())
	if rare.certified = nil; err == nil {
		rare.certified = who
	}
	return who, err
}

// certNames returns the names of a certificate as users have them.
func certNames(c *x509.Certificate) []string {
	var all []string
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
