package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/app/certs"
)

// A TLSConfig says with which certificate a server answers over TLS. The zero value is for clear
// text. The tags are for the command line.
type TLSConfig struct {
	TLSCert string `name:"tls-cert" help:"Certificate of this server in PEM, with those between it and its root: answer over https instead of http. It is read again when the file changes, and at SIGHUP." placeholder:"FILE" group:"TLS"`
	TLSKey  string `name:"tls-key" help:"Key of that certificate in PEM." placeholder:"FILE" group:"TLS"`

	TLSSelfSigned bool `name:"tls-self-signed" help:"Answer over https with a certificate that no authority has signed. It is made in the folder tls of the data folder, for a year, and renewed before it ends. The starting line has the fingerprint of its key, which stays the same: see keywatch auth login --fingerprint." group:"TLS"`

	TLSClientCA   string `name:"tls-client-ca" help:"Authorities in PEM that clients' certificates are verified with: a certificate with a name that a user has is a credential of that user. It is read again as --tls-cert is." placeholder:"FILE" group:"TLS"`
	TLSClientAuth string `name:"tls-client-auth" help:"With --tls-client-ca: ask clients for a certificate, or require one for every connection." default:"ask" enum:"ask,require" placeholder:"ask|require" group:"TLS"`
}

// on reports whether the server answers over TLS.
func (c *TLSConfig) on() bool { return c.TLSCert != "" || c.TLSSelfSigned }

func (c *TLSConfig) withDefaults() { orDefault(&c.TLSClientAuth, "ask") }

// Scheme returns the scheme of the server's URLs: http or https.
func (c TLSConfig) Scheme() string {
	if c.on() {
		return "https"
	}
	return "http"
}

// validate returns an error that names the first field that cannot be used. It reads no files.
func (c *TLSConfig) validate() error {
	switch {
	case c.TLSSelfSigned && (c.TLSCert != "" || c.TLSKey != ""):
		return errors.New("tls-self-signed: cannot be combined with --tls-cert and --tls-key")
	case c.TLSCert != "" && c.TLSKey == "":
		return errors.New("tls-key: required with --tls-cert, the file with the key of the certificate")
	case c.TLSKey != "" && c.TLSCert == "":
		return errors.New("tls-cert: required with --tls-key, the file with the certificate of the key")
	case c.TLSClientCA != "" && !c.on():
		return errors.New("tls-client-ca: requires --tls-cert or --tls-self-signed")
	case c.TLSClientAuth != "ask" && c.TLSClientAuth != "require":
		return fmt.Errorf("tls-client-auth: expected ask or require, got %q", c.TLSClientAuth)
	case c.TLSClientAuth == "require" && c.TLSClientCA == "":
		return errors.New("tls-client-ca: required with --tls-client-auth=require, the authorities of the certificates")
	}
	return nil
}

// tlsFolder is the folder in the data folder with a self-signed certificate and its key.
const tlsFolder = "tls"

// certOptions says where the certificate is.
func (c *ServeConfig) certOptions() certs.Options {
	o := certs.Options{
		CertFile: c.TLS.TLSCert, KeyFile: c.TLS.TLSKey, SelfSigned: c.TLS.TLSSelfSigned, Names: c.ownNames(),
		ClientCAFile: c.TLS.TLSClientCA, RequireClient: c.TLS.TLSClientAuth == "require",
		Logger: c.Logger.With("component", "tls"),
	}
	if !c.MemoryOnly {
		o.Folder = filepath.Join(c.Data, tlsFolder)
	}
	return o
}

// ownNames returns the hosts that clients may reach the server by, as far as the configuration says.
func (c *ServeConfig) ownNames() []string {
	names := slices.Clone(c.AllowHost)
	for _, address := range []string{c.Listen, c.RESP, c.Peers.PeerAdvertise} {
		if host, _, err := net.SplitHostPort(address); err == nil {
			names = append(names, host)
		}
	}
	if u, err := url.Parse(c.Peers.Advertise); err == nil {
		names = append(names, u.Hostname())
	}
	return slices.DeleteFunc(names, func(name string) bool { ip := net.ParseIP(name); return ip != nil && ip.IsUnspecified() })
}

// checkTLS returns why the server cannot have its certificate, as far as that is known before any data
// is touched.
func (c *ServeConfig) checkTLS() error {
	if !c.TLS.on() {
		return nil
	}
	if err := certs.Check(c.certOptions()); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	return nil
}

// A certKeeper keeps the certificate of a server. nil is for clear text.
type certKeeper struct{ *certs.Keeper }

// openTLS begins to look after the certificate; it returns nil for clear text.
func (c *ServeConfig) openTLS(registry *prometheus.Registry) (*certKeeper, error) {
	if !c.TLS.on() {
		return nil, nil
	}
	k, err := certs.Open(c.certOptions())
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	registry.MustRegister(k)
	return &certKeeper{k}, nil
}

// A certOpener opens the certificate of a server when it is needed first.
type certOpener struct {
	open   func() (*certKeeper, error)
	once   sync.Once
	keeper *certKeeper
	err    error
}

// get returns the keeper of the certificate, nil for clear text.
func (o *certOpener) get() (*certKeeper, error) {
	o.once.Do(func() { o.keeper, o.err = o.open() })
	return o.keeper, o.err
}

// close ends the keeper, if it was opened.
func (o *certOpener) close() {
	o.once.Do(func() {})
	o.keeper.close()
}

// config returns what connections are accepted with, nil for clear text.
func (k *certKeeper) config() *tls.Config {
	if k == nil {
		return nil
	}
	return k.Config()
}

// fingerprint returns what clients can pin the server by, empty unless its certificate is self-signed.
func (k *certKeeper) fingerprint(c *TLSConfig) string {
	if k == nil || !c.TLSSelfSigned {
		return ""
	}
	return certs.Fingerprint(k.Certificate())
}

// reload looks at the files now. What is wrong with them is logged.
func (k *certKeeper) reload() {
	if k != nil {
		_ = k.Reload()
	}
}

func (k *certKeeper) close() {
	if k != nil {
		k.Close()
	}
}
