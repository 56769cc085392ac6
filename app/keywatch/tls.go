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
	// ClientCert and ClientKey are shown to servers that ask for a certificate.
	ClientCert string `help:"Certificate in PEM to show to https servers that ask for one: a credential, where no other is given." placeholder:"FILE"`
	ClientKey  string `help:"Key of that certificate in PEM." placeholder:"FILE"`
}

// config returns what connections over https are made with: those of the authorities in --ca, else
// that of the one server with a fingerprint, else of the system's; nil for the last, without a
// certificate to show.
func (f *tlsFlags) config(fingerprint string) (*tls.Config, error) {
	config, err := f.trusted(fingerprint)
	if err != nil || f.ClientCert == "" && f.ClientKey == "" {
		return config, err
	}
	if f.ClientCert == "" || f.ClientKey == "" {
		return nil, usagef("--client-cert and --client-key require each other")
	}
	pair, err := tls.LoadX509KeyPair(f.ClientCert, f.ClientKey)
	if err != nil {
		return nil, usagef("--client-cert: %v", err)
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// trusted returns what config does, without a certificate to show.
func (f *tlsFlags) trusted(fingerprint string) (*tls.Config, error) {
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
