package certstest

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"keywatch/auth"
)

// Clients are clients of one server that have certificates, all signed by one authority.
type Clients struct {
	t         testing.TB
	authority *Pair
}

// NewClients returns clients with an authority of their own.
func NewClients(t testing.TB) *Clients { return &Clients{t, Authority(t)} }

// Server returns the configuration of a server that asks its clients for certificates, and serves those that
// have none. It has no certificate of its own yet.
func (c *Clients) Server() *tls.Config {
	c.t.Helper()
	return &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: Trusting(c.t, c.authority).RootCAs}
}

// Showing returns what a client speaks TLS by that trusts what base does, and shows a certificate with a name,
// and more that say nothing.
func (c *Clients) Showing(base *tls.Config, name string, more ...*Pair) *tls.Config {
	c.t.Helper()
	pair := Sign(c.t, c.authority, name, time.Now().Add(time.Hour)).TLS(c.t)
	for _, m := range more {
		pair.Certificate = append(pair.Certificate, m.Leaf.Raw)
	}
	config := base.Clone()
	config.Certificates = []tls.Certificate{pair}
	return config
}

// Name has a user have names of certificates, and no others.
func (c *Clients) Name(r *auth.Registry, by auth.By, user string, names ...string) {
	c.t.Helper()
	if _, err := r.SetUser(context.Background(), by, user, auth.UserSpec{Certs: &names}, auth.Condition{}); err != nil {
		c.t.Fatal(err)
	}
}
