package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	kw "keywatch/client"
)

// tlsFlags say which servers the commands trust over https.
type tlsFlags struct {
	CA string `name:"ca" help:"File with certificates in PEM that those of https servers are verified with, instead of the system's and of a fingerprint that a login stored." placeholder:"FILE"`
}

// config returns what connections over https are made with: those of the authorities in --ca, else
// that of the one server with a fingerprint, else nil, for the authorities of the system.
func (f *tlsFlags) config(fingerprint string) (*tls.Config, error) {
	switch {
	case f.CA != "":
		return f.authorities()
	case fingerprint != "":
		return kw.PinnedTLS(fingerprint)
	}
	return nil, nil
}

// authorities returns what accepts certificates that those in --ca have signed.
func (f *tlsFlags) authorities() (*tls.Config, error) {
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, usagef("--ca: %v", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, usagef("--ca: there is no certificate in PEM in %s", f.CA)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
