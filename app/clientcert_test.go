package app_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/app/certs/certstest"
	"keywatch/auth"
	"keywatch/test/gate"
)

// A provenServer is a server with authentication that accepts certificates of its authority.
type provenServer struct {
	*secureServer
	admin string
}

// serveProven runs such a server, with the users ann and ben, who have the common names of their
// certificates.
func serveProven(t *testing.T, clientAuth string, change ...func(*app.ServeConfig)) *provenServer {
	t.Helper()
	p := &provenServer{admin: auth.NewSecret(auth.Key)}
	p.secureServer = serveTLS(t, func(c *app.ServeConfig) {
		c.Auth, c.AdminKey, c.TLS.TLSClientAuth = "on", p.admin, clientAuth
		c.TLS.TLSClientCA = filepath.Join(filepath.Dir(c.TLS.TLSCert), "ca.pem")
		for _, f := range change {
			f(c)
		}
	})
	ann := p.as(nil)
	if clientAuth == "require" {
		ann = p.as(p.cert("admin"))
	}
	ann.want(201, p.admin, "PUT", "/v1/auth/roles/ann", `{"grants":["read,watch,write:ann/"]}`)
	for _, name := range []string{"ann", "ben"} {
		ann.want(201, p.admin, "POST", "/v1/auth/users", `{"name":"`+name+`","roles":["ann"],"certificates":["cn:`+name+`"]}`)
	}
	return p
}

// cert returns a certificate of a client.
func (p *provenServer) cert(name string) *certstest.Pair {
	return certstest.Sign(p.t, p.authority, name, time.Now().Add(time.Hour))
}

// A proven is a client of one connection, with a certificate or without.
type proven struct {
	server *provenServer
	client *http.Client
}

func (p *provenServer) as(shows *certstest.Pair) *proven {
	p.t.Helper()
	config := certstest.Trusting(p.t, p.authority)
	if shows != nil {
		config = certstest.Trusting(p.t, p.authority, shows)
	}
	return &proven{p, p.client(config)}
}

// do sends a request, with a credential beside the certificate unless that is empty.
func (c *proven) do(secret, method, path, body string) (*http.Response, error) {
	req, err := http.NewRequest(method, c.server.url+path, strings.NewReader(body))
	if err != nil {
		c.server.t.Fatal(err)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return c.client.Do(req)
}

// want sends a request and returns the body of its answer.
func (c *proven) want(status int, secret, method, path, body string) string {
	t := c.server.t
	t.Helper()
	resp, err := c.do(secret, method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s %s: got %d %s, %v, want %d", method, path, resp.StatusCode, text, err, status)
	}
	return string(text)
}

// refused wants no answer at all.
func (c *proven) refused(what string) {
	c.server.t.Helper()
	if resp, err := c.do("", "GET", "/v1/kv/ann/1", ""); err == nil {
		resp.Body.Close()
		c.server.t.Errorf("%s: got %d, want the handshake to fail", what, resp.StatusCode)
	}
}

// says fails the test unless a text has a part.
func says(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("got %s, want %s in it", text, part)
	}
}

// If this failed, a certificate would be good for more than its user may, or one that proves nothing
// would be.
func TestClientCertificate(t *testing.T) {
	p := serveProven(t, "ask")
	ann := p.as(p.cert("ann"))
	ann.want(201, "", "PUT", "/v1/kv/ann/1", "1")
	says(t, ann.want(403, "", "PUT", "/v1/kv/other", "1"), "write:other")
	me := ann.want(200, "", "GET", "/v1/auth/whoami", "")
	for _, part := range []string{`"user":"ann"`, `"kind":"certificate"`, `"credential":"`, `"expires_ms":`} {
		says(t, me, part)
	}
	says(t, ann.want(400, "", "POST", "/v1/auth/tickets", `{"keys":["ann/1"]}`), "only an API key or a session")
	says(t, p.as(nil).want(401, "", "GET", "/v1/kv/ann/1", ""), "missing")
	says(t, p.as(p.cert("eve")).want(401, "", "GET", "/v1/kv/ann/1", ""), "unknown")
	says(t, p.as(p.cert("admin")).want(401, "", "GET", "/v1/kv/ann/1", ""), "unknown") // the name of a user is no name of a certificate
	says(t, p.as(p.cert("eve")).want(200, p.admin, "GET", "/v1/auth/whoami", ""), `"user":"admin"`)
	says(t, ann.want(200, p.admin, "GET", "/v1/auth/whoami", ""), `"user":"admin"`) // the header decides
	says(t, ann.want(401, "kwk_no", "GET", "/v1/kv/ann/1", ""), "malformed")        // also a bad one
	p.as(certstest.Sign(t, p.authority, "ann", time.Now().Add(-time.Minute))).refused("an expired certificate")
	p.as(certstest.Sign(t, certstest.Authority(t), "ann", time.Now().Add(time.Hour))).refused("a certificate of another authority")
}

// If this failed, a server that requires certificates would answer clients without one.
func TestClientCertificateRequired(t *testing.T) {
	p := serveProven(t, "require")
	p.as(p.cert("ann")).want(201, "", "PUT", "/v1/kv/ann/1", "1")
	p.as(nil).refused("no certificate")
	p.as(certstest.Sign(t, certstest.Authority(t), "ann", time.Now().Add(time.Hour))).refused("a certificate of another authority")
}

// If this failed, a revoked certificate would be good on the connections and streams that it has opened.
func TestClientCertificateRevoked(t *testing.T) {
	for name, c := range map[string]struct{ change, reason, code string }{
		"name removed":  {`{"certificates":["cn:another"]}`, "unknown", "revoked"},
		"user disabled": {`{"disabled":true}`, "disabled", "disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			p := serveProven(t, "ask")
			ann, ben, admin := p.as(p.cert("ann")), p.as(p.cert("ben")), p.as(nil)
			ann.want(201, "", "PUT", "/v1/kv/ann/1", "1")
			stream, err := ann.do("", "GET", "/v1/watch?prefix=ann/", "")
			if err != nil || stream.StatusCode != 200 {
				t.Fatalf("watch: %v, %v", stream, err)
			}
			defer stream.Body.Close()
			admin.want(200, p.admin, "PUT", "/v1/auth/users/ann", c.change)
			says(t, ann.want(401, "", "GET", "/v1/kv/ann/1", ""), c.reason)
			admin.want(200, p.admin, "PUT", "/v1/auth/users/ben", `{"metadata":{}}`)
			ben.want(200, "", "GET", "/v1/kv/ann/1", "")
			var ended string
			for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
				ended = ended + lines.Text() + "\n"
			}
			says(t, ended, "event: denied")
			says(t, ended, c.code)
		})
	}
}

// If this failed, all certificates would share one rate, and one client would use up what others may.
func TestCertificatesAreChargedApart(t *testing.T) {
	p := serveProven(t, "ask", func(c *app.ServeConfig) { c.RateLimit, c.RateLoopback = "writes=4/h:4", true })
	ann, ben := p.as(p.cert("ann")), p.as(p.cert("ben"))
	for _, status := range []int{201, 200, 200, 200, 429} {
		ann.want(status, "", "PUT", "/v1/kv/ann/1", "1")
	}
	ben.want(200, "", "PUT", "/v1/kv/ann/1", "1")
}

// If this failed, a client could join the cluster with its certificate, or a server of it would be a user.
func TestPeersAndClientsAreApart(t *testing.T) {
	peers, address := certstest.Authority(t), gate.Address(t)
	p := serveProven(t, "ask", func(c *app.ServeConfig) {
		c.MemoryOnly, c.Data, c.Peers.Name = false, t.TempDir(), "n1"
		dir := t.TempDir()
		c.Peers.PeerListen, c.Peers.PeerCA = address, filepath.Join(dir, "ca.pem")
		c.Peers.PeerCert, c.Peers.PeerKey = certstest.Sign(t, peers, "127.0.0.1", time.Now().Add(time.Hour)).Write(t, dir, "n1")
		must(t, os.WriteFile(c.Peers.PeerCA, peers.Cert, 0o600))
	})
	meet := func(shows *certstest.Pair) error {
		config := certstest.Trusting(t, peers, shows)
		config.NextProtos = []string{"keywatch-peer"}
		conn, err := tls.Dial("tcp", address, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		gate.Bound(t, conn)
		_, _ = conn.Write(make([]byte, 256)) // no hello of a server
		_, err = io.ReadAll(conn)
		return err
	}
	server := certstest.Sign(t, peers, "127.0.0.1", time.Now().Add(time.Hour))
	if err := meet(server); err != nil && strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server's certificate: got %v, want its handshake to succeed", err)
	}
	if err := meet(p.cert("ann")); err == nil {
		t.Error("a client's certificate was accepted by the port for servers")
	}
	p.as(p.cert("ann")).want(404, "", "GET", "/v1/kv/ann/1", "")
	p.as(server).refused("a server's certificate")
}

// If this failed, clients of an authority that is trusted no longer would get in with the session that they
// had, or a certificate of before the change would.
func TestSwappedAuthority(t *testing.T) {
	p := serveProven(t, "require")
	config := certstest.Trusting(t, p.authority, p.cert("ann"))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	ann := &proven{p, p.client(config)}
	ann.want(201, "", "PUT", "/v1/kv/ann/1", "1")
	ann.client.CloseIdleConnections()
	ann.want(200, "", "GET", "/v1/kv/ann/1", "") // the control: again, with what it has of the first session
	ann.client.CloseIdleConnections()
	other := certstest.Authority(t)
	must(t, os.WriteFile(p.config.TLS.TLSClientCA, other.Cert, 0o600))
	p.updates <- p.config
	p.updates <- p.config // once it is received the first is in force
	ann.refused("an authority of before")
	now := certstest.Sign(t, other, "ann", time.Now().Add(time.Hour))
	p.as(now).want(200, "", "GET", "/v1/kv/ann/1", "")
}

// If this failed, one of two certificates with a name would end the other, or they would be one credential.
func TestTwoCertificatesWithOneName(t *testing.T) {
	p := serveProven(t, "ask")
	one, two := p.as(p.cert("ann")), p.as(p.cert("ann"))
	a, b := one.want(200, "", "GET", "/v1/auth/whoami", ""), two.want(200, "", "GET", "/v1/auth/whoami", "")
	if field(t, a, "id") != field(t, b, "id") || field(t, a, "credential") == field(t, b, "credential") {
		t.Errorf("got %s and %s, want two credentials of one user", a, b)
	}
	admin := p.as(nil)
	says(t, admin.want(409, p.admin, "PUT", "/v1/auth/users/ben", `{"certificates":["cn:ann"]}`), "exists")
	admin.want(200, p.admin, "PUT", "/v1/auth/users/ann", `{"certificates":[]}`)
	for _, c := range []*proven{one, two} {
		says(t, c.want(401, "", "GET", "/v1/kv/ann/1", ""), "unknown")
	}
}
