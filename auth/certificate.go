package auth

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// CertsPerUser bounds the names of certificates of one user, certNameMax each of them in bytes.
	CertsPerUser = 32
	certNameMax  = 512
	// certNamesMax bounds the names of a certificate that is shown.
	certNamesMax = 128
)

// The kinds of names in certificates.
const (
	CertURI   = "uri:"
	CertDNS   = "dns:"
	CertEmail = "email:"
	CertCN    = "cn:"
)

// A ClientCert is what counts of a client's certificate.
type ClientCert struct {
	id      CredID
	expires int64
	names   []string
}

// NewClientCert returns what counts of a certificate whose chain and dates were verified: its names, as
// FoldCert has them; which one it is, der, of which nothing is kept; and when it ends, in milliseconds of
// wall time.
func NewClientCert(names []string, der []byte, expires int64) *ClientCert {
	return &ClientCert{HashOf(der).ID(), expires, slices.Clone(names[:min(len(names), certNamesMax+1)])}
}

// FoldCert returns a name of a certificate as it is compared: `uri:`, `dns:`, `email:` or `cn:` and
// the name, of which DNS names and addresses of mail are in lower case. It fails with an error that
// matches ErrBadRequest.
func FoldCert(name string) (string, error) {
	kind, rest, ok := strings.Cut(name, ":")
	if !ok || rest == "" || len(name) > certNameMax {
		return "", badCert(name)
	}
	switch kind + ":" {
	case CertDNS, CertEmail:
		return strings.ToLower(name), nil
	case CertURI, CertCN:
		return name, nil
	}
	return "", badCert(name)
}

func badCert(name string) error {
	return fmt.Errorf("%w: certificate %.80q: expected uri:, dns:, email: or cn: and a name of at most %d bytes", ErrBadRequest, name, certNameMax)
}

// foldCerts folds the names that a user is to have, each once.
func foldCerts(names []string) ([]string, error) {
	out := make([]string, 0, len(names))
	for _, name := range names {
		name, err := FoldCert(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if len(out) > CertsPerUser {
		return nil, fmt.Errorf("%w: a user has at most %d names of certificates", ErrBadRequest, CertsPerUser)
	}
	return out, nil
}

// ByCertificate returns the caller that a client certificate proves: the user who has one of its names.
// It fails with a *FailedError where no user has a name of it, or several users have.
func (t *Table) ByCertificate(cert *ClientCert) (*Caller, error) {
	if len(cert.names) > certNamesMax {
		return nil, &FailedError{Reason: Malformed}
	}
	c := &Caller{table: t, id: cert.id, kind: Certificate}
	c.expires.Store(cert.expires)
	t.mu.RLock()
	for _, name := range cert.names {
		name, err := FoldCert(name)
		if err != nil {
			continue // no user has it
		}
		record := t.hmacLocked(name)
		switch user := t.mu.certs[record]; {
		case user == "":
		case c.user == "":
			c.user, c.proof = user, record
		case user != c.user:
			t.mu.RUnlock()
			return nil, &FailedError{Reason: Unknown}
		}
	}
	t.mu.RUnlock()
	if c.user == "" {
		return nil, &FailedError{Reason: Unknown}
	}
	return c, c.fail()
}
