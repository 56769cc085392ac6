package certs_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keywatch/app/certs"
	"keywatch/app/certs/certstest"
)

// A selfMade is a server that makes its certificate, at times of its own.
type selfMade struct {
	t    *testing.T
	dir  string
	now  time.Time
	opts certs.Options
}

func newSelfMade(t *testing.T) *selfMade {
	s := &selfMade{t: t, dir: filepath.Join(t.TempDir(), "tls"), now: time.Now()}
	s.opts = certs.Options{SelfSigned: true, Folder: s.dir, Names: []string{"kv.example", "192.0.2.7", "no/name", "*"}, Now: func() time.Time { return s.now }}
	return s
}

// If this failed, a client that pinned the fingerprint would be locked out by a restart or a renewal.
func TestFingerprintStays(t *testing.T) {
	s := newSelfMade(t)
	first := open(t, s.opts).Certificate()
	for _, name := range []string{"kv.example", "192.0.2.7", "localhost", "127.0.0.1", "::1"} {
		if err := first.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	k := open(t, s.opts)
	if !k.Certificate().Equal(first) {
		t.Error("a restart made another certificate")
	}
	for _, c := range []struct {
		later time.Duration
		new   bool
	}{{334 * day, false}, {336 * day, true}} {
		s.now = first.NotBefore.Add(time.Hour + c.later)
		if err := k.Reload(); err != nil {
			t.Fatal(err)
		}
		now := k.Certificate()
		if got := !now.Equal(first); got != c.new {
			t.Errorf("after %v: renewed %v, want %v", c.later, got, c.new)
		}
		if certs.Fingerprint(now) != certs.Fingerprint(first) {
			t.Error("the renewed certificate has another fingerprint")
		}
		if now.NotAfter.Before(s.now.Add(29 * day)) {
			t.Errorf("after %v it ends at %v", c.later, now.NotAfter)
		}
	}
	s.opts.Names = append(s.opts.Names, "more.example")
	other := open(t, s.opts).Certificate()
	if err := other.VerifyHostname("more.example"); err != nil || certs.Fingerprint(other) != certs.Fingerprint(first) {
		t.Errorf("with another name: %v, or another fingerprint", err)
	}
}

// If this failed, others could read the key, or a client that trusts the file could not connect.
func TestSelfSignedFiles(t *testing.T) {
	s := newSelfMade(t)
	k := open(t, s.opts)
	for _, name := range []string{certs.CertName, certs.KeyName} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v: want a file of its owner", name, info, err)
		}
	}
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 2 {
		t.Errorf("got %v, %v in the folder, want two files", left, err)
	}
	pem, err := os.ReadFile(filepath.Join(s.dir, certs.CertName))
	if err != nil {
		t.Fatal(err)
	}
	trusts := trusting(t, &certstest.Pair{Leaf: k.Certificate()}, "localhost")
	trusts.RootCAs = x509.NewCertPool()
	if !trusts.RootCAs.AppendCertsFromPEM(pem) {
		t.Fatal("there is no certificate in the file")
	}
	if _, err := meet(t, k.Config(), trusts); err != nil {
		t.Errorf("a client that trusts the file: %v", err)
	}
}

// If this failed, a damaged key would be replaced, and with it what clients have pinned.
func TestDamagedKeyIsKept(t *testing.T) {
	s := newSelfMade(t)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, certs.KeyName)
	for _, damaged := range []string{"", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := certs.Open(s.opts); err == nil {
			t.Errorf("key %q was accepted", damaged)
		}
		if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, []byte(damaged)) {
			t.Errorf("key %q was replaced by %q, %v", damaged, b, err)
		}
	}
}

// If this failed, a server without a folder could not show what it does over TLS.
func TestSelfSignedInMemory(t *testing.T) {
	k := open(t, certs.Options{SelfSigned: true})
	first := k.Certificate()
	if err := k.Reload(); err != nil || !k.Certificate().Equal(first) {
		t.Errorf("looked at again it is another: %v", err)
	}
	if other := open(t, certs.Options{SelfSigned: true}); certs.Fingerprint(other.Certificate()) == certs.Fingerprint(first) {
		t.Error("two servers have one key")
	}
}
