package client_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"keywatch/client"
)

// fingerprintOf returns the fingerprint of a test server's key.
func fingerprintOf(s *httptest.Server) string {
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// healthy is a server over TLS, whose certificate only its own client trusts.
func healthy(t *testing.T) *httptest.Server {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Keywatch-Version", "1") }))
	t.Cleanup(s.Close)
	return s
}

// If this failed, a token would be sent to a server that only says it is the right one, or the right
// one could not be used.
func TestPinnedTLS(t *testing.T) {
	s := healthy(t)
	right, err := client.PinnedTLS(fingerprintOf(s))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := client.PinnedTLS("sha256:" + hex.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	trusting := s.Client().Transport.(*http.Transport).TLSClientConfig
	for name, c := range map[string]struct {
		config *tls.Config
		want   error
		fails  bool
	}{
		"pinned":               {right, nil, false},
		"pinned to another":    {wrong, client.ErrFingerprint, true},
		"the system's":         {nil, nil, true},
		"the right authority":  {trusting, nil, false},
		"no authority, no pin": {&tls.Config{}, nil, true},
	} {
		kw, err := client.New(client.Options{Endpoints: []string{s.URL}, Token: "kwk", TLS: c.config, FailFast: true})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := kw.Open(t.Context(), &client.Request{Path: "/healthz"})
		if (err != nil) != c.fails || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want an error %v: %v", name, err, c.fails, c.want)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
		kw.Close()
	}
}

// If this failed, a fingerprint with a typing error would accept no server, or every one.
func TestBadFingerprint(t *testing.T) {
	for _, text := range []string{"", "sha256:", "sha256:00", "00", "sha1:" + hex.EncodeToString(make([]byte, 32)), "sha256:" + hex.EncodeToString(make([]byte, 33)), "sha256:zz"} {
		if _, err := client.PinnedTLS(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if _, err := client.New(client.Options{TLS: &tls.Config{}, HTTP: http.DefaultClient}); err == nil {
		t.Error("TLS was accepted beside HTTP, which has its own")
	}
}
