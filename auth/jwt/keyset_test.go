package jwt_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"keywatch/auth/jwt"
)

func pemOf(t testing.TB, s signing) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.public().Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// with returns a key as JSON with other members.
func with(t testing.TB, s signing, changes map[string]any) string {
	t.Helper()
	b, err := json.Marshal(s.public())
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for name, v := range changes {
		if all[name] = v; v == nil {
			delete(all, name)
		}
	}
	b, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// If this failed, keys would be used for what they are not for, or a set of an identity provider could not be
// read.
func TestParseSet(t *testing.T) {
	es, rs, hs := newSigning(t, jose.ES256, "es"), newSigning(t, jose.RS256, "rs"), newSigning(t, jose.HS256, "hs")
	private, err := json.Marshal(jose.JSONWebKey{Key: es.priv, KeyID: "es"})
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	one := with(t, es, nil)
	for _, c := range []struct {
		name, text string
		secrets    bool
		keys       int
		fails      string
	}{
		{"one of each", set(one, with(t, rs, nil), with(t, hs, nil)), true, 3, ""},
		{"a key alone", one, false, 1, ""},
		{"with more members", set(with(t, es, map[string]any{"x5c": []string{"no certificate"}, "x5u": "http://127.0.0.1:1/", "x5t": "a", "issuer": "b"})), false, 1, ""},
		{"for verifying", set(with(t, es, map[string]any{"use": nil, "key_ops": []string{"verify"}})), false, 1, ""},
		{"for signing only", set(one, with(t, rs, map[string]any{"key_ops": []string{"sign"}})), false, 1, ""},
		{"for encryption", set(one, with(t, rs, map[string]any{"use": "enc"})), false, 1, ""},
		{"of an unknown type", set(one, `{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`), false, 1, ""},
		{"for an algorithm of another type", set(one, with(t, rs, map[string]any{"alg": "ES256"}), with(t, rs, map[string]any{"alg": "HS256"}), with(t, rs, map[string]any{"alg": "none"})), false, 1, ""},
		{"PEM", string(slices.Concat(pemOf(t, es), []byte("\n"), pemOf(t, rs))), false, 2, ""},
		{"secret from a URL", set(one, with(t, hs, nil)), false, 0, "from a file only"},
		{"short secret", set(`{"kty":"oct","k":"` + part(strings.Repeat("a", 31)) + `"}`), true, 0, "31 bytes"},
		{"private key", set(string(private)), true, 0, "private key"},
		{"weak key", set(with(t, signing{jose.RS256, "weak", weak}, nil)), true, 0, "1024 bits"},
		{"point that is not on the curve", set(with(t, es, map[string]any{"x": part(strings.Repeat("a", 32))})), true, 0, "key 1"},
		{"nothing", "", true, 0, "expected"},
		{"an array", "[]", true, 0, "expected"},
		{"an empty set", set(), true, 0, ""},
		{"no set", "{}", true, 0, "no key"},
		{"only unknown ones", set(`{"kty":"AKP"}`), true, 0, "no key"},
		{"PEM of a private key", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", true, 0, "PUBLIC KEY"},
		{"cut PEM", string(pemOf(t, es)[:60]), true, 0, "malformed PEM"},
		{"too many", set(slices.Repeat([]string{one}, jwt.KeysMax+1)...), true, 0, "at most 100"},
		{"too many without kid", set(slices.Repeat([]string{with(t, es, map[string]any{"kid": nil})}, jwt.TriedMax+1)...), true, 0, "without kid"},
		{"too many with one kid", set(slices.Repeat([]string{one}, jwt.TriedMax+1)...), true, 0, `the kid "es"`},
		{"too large", set(one) + strings.Repeat(" ", jwt.SetMax), true, 0, "bytes"},
	} {
		n, err := jwt.ParseSet([]byte(c.text), c.secrets)
		if c.fails == "" && (err != nil || n != c.keys) {
			t.Errorf("%s: got %d keys, %v, want %d", c.name, n, err, c.keys)
		}
		if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.fails)
		}
	}
}

// If this failed, a key in PEM, or one whose set names no algorithm, could not be used.
func TestAlgorithmByType(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA} {
		s := newSigning(t, alg, "")
		path := t.TempDir() + "/keys.pem"
		writeFile(t, path, pemOf(t, s))
		k := jwt.New(jwt.Options{Source: path, Issuer: issuer, Audience: audience})
		if err := k.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Verify(s.token(t, nil), ""); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// If this failed, keys without a kid would keep the key that a token names from being tried.
func TestNamedKeyIsTriedFirst(t *testing.T) {
	var keys []signing
	for range jwt.TriedMax {
		keys = append(keys, newSigning(t, jose.EdDSA, ""))
	}
	keys = append(keys, newSigning(t, jose.EdDSA, "last"))
	k := loaded(t, jwt.Options{}, keys...)
	if _, err := k.Verify(keys[jwt.TriedMax].token(t, nil), ""); err != nil {
		t.Errorf("a token with the kid of the last key: %v", err)
	}
}
