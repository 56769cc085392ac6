package peer_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/cluster/peer"
)

// with has a node use tokens.
func with(tokens ...peer.Token) func(*peer.Options) {
	return func(o *peer.Options) { o.Insecure, o.Tokens = false, tokens }
}

// If this failed, a token could not be kept in a file, or would be shown in a log.
func TestTokenText(t *testing.T) {
	a, b := peer.NewToken(), peer.NewToken()
	if a == b {
		t.Error("two tokens are the same")
	}
	for _, c := range []struct {
		text string
		want []peer.Token
	}{
		{a.Text(), []peer.Token{a}},
		{"\n " + a.Text() + "\r\n\r\n", []peer.Token{a}},
		{a.Text() + "\n" + b.Text() + "\n", []peer.Token{a, b}},
		{"# the new one\n" + b.Text() + " " + a.Text(), []peer.Token{b, a}},
	} {
		got, err := peer.ParseTokens(c.text)
		if err != nil || fmt.Sprint(len(got)) != fmt.Sprint(len(c.want)) || got[0] != c.want[0] || got[len(got)-1] != c.want[len(c.want)-1] {
			t.Errorf("%q: %d tokens, %v", c.text, len(got), err)
		}
	}
	for _, text := range []string{
		"", "# nothing", a.Text()[1:], a.Text()[:40], a.Text() + "x", a.Text() + "\n" + b.Text() + "\n" + a.Text(), "kwpeer-", "kwpeer-" + strings.Repeat("!", 43),
	} {
		if got, err := peer.ParseTokens(text); err == nil {
			t.Errorf("%q is accepted: %d tokens", text, len(got))
		} else if strings.Contains(err.Error(), a.Text()[10:30]) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if shown := fmt.Sprintf(verb, a); strings.Contains(shown, a.Text()[7:20]) || len(shown) > 40 {
			t.Errorf("%s shows %s", verb, shown)
		}
	}
}

// If this failed, servers that share a token could not connect, with whatever clock, or others could.
func TestTokens(t *testing.T) {
	first, second, third := peer.NewToken(), peer.NewToken(), peer.NewToken()
	for _, c := range []struct {
		name      string
		a, b      []peer.Token
		connected bool
	}{
		{"the same", []peer.Token{first}, []peer.Token{first}, true},
		{"another", []peer.Token{first}, []peer.Token{second}, false},
		{"rotation 1", []peer.Token{first}, []peer.Token{first, second}, true},
		{"rotation 2", []peer.Token{first, second}, []peer.Token{second, first}, true},
		{"rotation 3", []peer.Token{second, first}, []peer.Token{second}, true},
		{"too soon", []peer.Token{first}, []peer.Token{second, first}, false},
		{"a third", []peer.Token{first, second}, []peer.Token{third, first}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				a, b := join(t, network, 1, with(c.a...)), join(t, network, 2, with(c.b...))
				add(t, a, b)
				pass(3 * time.Second)
				if a.reachable(2) != c.connected || b.reachable(1) != c.connected {
					t.Errorf("connected: %v and %v, want %v", a.reachable(2), b.reachable(1), c.connected)
				}
				if !c.connected && (!a.logged("token") || !b.logged("token")) {
					t.Errorf("the logs do not speak of the token: %s %s", a.log.String(), b.log.String())
				}
				a.take()
				b.take()
				if a.Send(2, peer.Append, make([]byte, 1<<20)); !c.connected {
					return
				}
				pass(time.Second)
				expect(t, b, "1 append 1048576 bytes")
			})
		})
	}
}

// If this failed, a node could say in its hello that it is another one than its certificate names.
func TestIdentityIsProved(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		token := peer.NewToken()
		b := join(t, network, 2, with(token))
		_ = b.Add(1, "")
		_ = b.Add(3, "")
		for _, claimed := range []peer.ID{3, 1} {
			raw := dialRaw(t, network, b)
			conn := tls.Client(raw, peer.ClientConfig(token, 3))
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			h := hello()
			h.ID = claimed
			err := say(t, conn, h)
			var refused *peer.RefusedError
			if claimed == 3 && err != nil {
				t.Errorf("the right node is refused: %v", err)
			}
			if claimed == 1 && (!errors.As(err, &refused) || !strings.Contains(refused.Text, peer.ErrIdentity.Error())) {
				t.Errorf("node 3 that says it is 1: %v", err)
			}
			raw.Close()
		}
	})
}

// If this failed, a node without TLS could connect to one with it, or what it sends would be read.
func TestPlainMeetsTLS(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := join(t, network, 1, nil), join(t, network, 2, with(peer.NewToken()))
		add(t, a, b)
		pass(10 * time.Second)
		expect(t, a)
		expect(t, b)
	})
}

// authority is one of an operator, for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

// files writes a certificate for a host, its key and the root, and loads them.
func (a *authority) load(t testing.TB, host string) *peer.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, err := peer.LoadCertificate(write("cert", "CERTIFICATE", der), write("key", "PRIVATE KEY", keyDER), write("ca", "CERTIFICATE", a.cert.Raw))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// If this failed, an operator's certificates would not work, or one of the same authority for
// another host could be a peer.
func TestOwnCertificates(t *testing.T) {
	for _, c := range []struct {
		name       string
		host       string // that the certificate of node 1 names
		stranger   bool   // it is of another authority
		connected  bool
		wantLogged string
	}{
		{"right", "n1", false, true, ""},
		{"another host", "n7", false, false, "n7"},
		{"another authority", "n1", true, false, "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				own := newAuthority(t)
				of := own
				if c.stranger {
					of = newAuthority(t)
				}
				use := func(cert *peer.Certificate) func(*peer.Options) {
					return func(o *peer.Options) { o.Insecure, o.Certificate = false, cert }
				}
				a, b := join(t, network, 1, use(of.load(t, c.host))), join(t, network, 2, use(own.load(t, "n2")))
				add(t, a, b)
				pass(5 * time.Second)
				if a.reachable(2) != c.connected || b.reachable(1) != c.connected {
					t.Errorf("connected: %v and %v, want %v", a.reachable(2), b.reachable(1), c.connected)
				}
				if !b.logged(c.wantLogged) {
					t.Errorf("the log does not say %q: %s", c.wantLogged, b.log.String())
				}
			})
		})
	}
}

// If this failed, frames without TLS could leave the machine.
func TestInsecureIsLoopback(t *testing.T) {
	opts := peer.Options{ID: 1, Insecure: true, Receive: func(peer.ID, peer.Class, []byte) {}}
	opts.Listener = addrListener{addr: &net.TCPAddr{IP: net.IPv4zero, Port: 7071}}
	if _, err := peer.Open(opts); !errors.Is(err, peer.ErrInsecure) {
		t.Errorf("a listener for all addresses: %v", err)
	}
	bubble(t, func(t *testing.T, network *network) {
		a := join(t, network, 1, func(o *peer.Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
				conn, err := dial(ctx, addr)
				if err != nil {
					return nil, err
				}
				return elsewhere{conn}, nil
			}
		})
		b := join(t, network, 2, nil)
		_ = b.Add(1, "")
		_ = a.Add(2, b.addr)
		pass(time.Second)
		if a.reachable(2) || !a.logged(peer.ErrInsecure.Error()) {
			t.Errorf("connected to another machine without TLS: %s", a.log.String())
		}
	})
}

// If this failed, options that cannot work would be noticed late.
func TestOptions(t *testing.T) {
	right := peer.Options{ID: 1, Tokens: []peer.Token{peer.NewToken()}, Receive: func(peer.ID, peer.Class, []byte) {}}
	for _, c := range []struct {
		name   string
		change func(*peer.Options)
	}{
		{"no id", func(o *peer.Options) { o.ID = 0 }},
		{"no receiver", func(o *peer.Options) { o.Receive = nil }},
		{"no security", func(o *peer.Options) { o.Tokens = nil }},
		{"two kinds of security", func(o *peer.Options) { o.Insecure = true }},
		{"three tokens", func(o *peer.Options) { o.Tokens = make([]peer.Token, 3) }},
		{"a long cluster", func(o *peer.Options) { o.Cluster = string(bytes.Repeat([]byte("c"), 65)) }},
		{"a negative bound", func(o *peer.Options) { o.Streams = -1 }},
	} {
		o := right
		c.change(&o)
		closed := false
		o.Listener = addrListener{closer: func() { closed = true }}
		if _, err := peer.Open(o); err == nil || !closed {
			t.Errorf("%s: %v, listener closed %v", c.name, err, closed)
		}
	}
	m, err := peer.Open(right)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, id := range []peer.ID{0, 1} {
		if err := m.Add(id, "x:1"); !errors.Is(err, peer.ErrSelf) {
			t.Errorf("add node %d: %v", id, err)
		}
	}
}
