package certs_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"keywatch/app/certs"
	"keywatch/app/certs/certstest"
)

// asking has a server ask clients for certificates of an authority, or refuse those without.
func asking(f *folder, authority *certstest.Pair, require bool) func(*certs.Options) {
	f.write(f.ca, authority.Cert)
	return func(o *certs.Options) { o.ClientCAFile, o.RequireClient = f.ca, require }
}

// If this failed, a client with a certificate of another authority, or one that has ended, would get in.
func TestClientCertificates(t *testing.T) {
	ca, foreign := certstest.Authority(t), certstest.Authority(t)
	f := newFolder(t, sign(t, ca, "kv.example"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, require := range []bool{false, true} {
			k := f.open(asking(f, ca, require))
			for name, c := range map[string]struct {
				shows *certstest.Pair
				want  bool
			}{
				"good":    {sign(t, ca, "ann"), true},
				"expired": {certstest.Sign(t, ca, "ann", time.Now().Add(-time.Minute)), false},
				"foreign": {sign(t, foreign, "ann"), false},
				"none":    {nil, !require},
			} {
				client := trusting(t, ca, "kv.example")
				client.MaxVersion = version
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if c.shows == nil {
						return new(tls.Certificate), nil
					}
					pair := c.shows.TLS(t) // whatever authority the server has named
					return &pair, nil
				}
				if _, err := meet(t, k.Config(), client); (err == nil) != c.want {
					t.Errorf("%s, require %v, %s: got %v, want accepted %v", tls.VersionName(version), require, name, err, c.want)
				}
			}
		}
	}
}

// If this failed, an authority that is no longer trusted would let clients in until the next restart.
func TestAuthorityOfClientsChanges(t *testing.T) {
	one, two := certstest.Authority(t), certstest.Authority(t)
	f := newFolder(t, sign(t, one, "kv.example"))
	k := f.open(asking(f, one, true))
	client := trusting(t, one, "kv.example")
	client.Certificates = []tls.Certificate{sign(t, one, "ann").TLS(t)}
	if _, err := meet(t, k.Config(), client); err != nil {
		t.Fatalf("the control is refused: %v", err)
	}
	f.write(f.ca, []byte("nothing"))
	if err := k.Reload(); err == nil || !strings.Contains(err.Error(), f.ca) {
		t.Errorf("got %v, want the name of the file", err)
	}
	if _, err := meet(t, k.Config(), client); err != nil {
		t.Errorf("a broken file has locked clients out: %v", err)
	}
	f.write(f.ca, two.Cert)
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := meet(t, k.Config(), client); err == nil {
		t.Error("a client of the authority that was removed is accepted")
	}
}
