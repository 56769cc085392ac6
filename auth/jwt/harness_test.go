package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"keywatch/auth"
	"keywatch/auth/jwt"
)

const issuer, audience = "https://idp.example", "keywatch"

// A signing is a key of the issuer.
type signing struct {
	alg  jose.SignatureAlgorithm
	kid  string
	priv any
}

// public returns the key as a set shows it.
func (s signing) public() jose.JSONWebKey {
	k := jose.JSONWebKey{Key: s.priv, KeyID: s.kid, Algorithm: string(s.alg), Use: "sig"}
	if _, shared := s.priv.([]byte); shared {
		return k
	}
	k.Key = s.priv.(crypto.Signer).Public()
	return k
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// newSigning draws a key for an algorithm; all for RSA have the same one.
func newSigning(t testing.TB, alg jose.SignatureAlgorithm, kid string) signing {
	t.Helper()
	var priv any
	var err error
	switch alg {
	case jose.ES256:
		priv, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		priv, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		priv, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.EdDSA:
		_, priv, err = ed25519.GenerateKey(rand.Reader)
	case jose.HS256:
		secret := make([]byte, 32)
		rand.Read(secret)
		priv = secret
	default:
		priv = rsaKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	return signing{alg, kid, priv}
}

// sign signs a payload under a header with more fields than alg and kid.
func (s signing) sign(t testing.TB, payload []byte, more map[jose.HeaderKey]any) string {
	t.Helper()
	opts := &jose.SignerOptions{ExtraHeaders: more}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: jose.JSONWebKey{Key: s.priv, KeyID: s.kid}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// token signs the usual claims with changes; a nil value removes a claim.
func (s signing) token(t testing.TB, changes map[string]any) string {
	t.Helper()
	return s.sign(t, payload(t, changes), nil)
}

func payload(t testing.TB, changes map[string]any) []byte {
	t.Helper()
	all := map[string]any{
		"iss": issuer, "aud": audience, "sub": "Ann", "roles": []string{"reader", "Writer", "reader", "no name!"},
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// setOf returns a JSON Web Key Set.
func setOf(t testing.TB, keys ...signing) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, k.public())
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// loaded returns keys that have read a set from a file, with more options.
func loaded(t testing.TB, opts jwt.Options, keys ...signing) *jwt.Keys {
	t.Helper()
	opts.Source = filepath.Join(t.TempDir(), "keys.json")
	opts.Issuer, opts.Audience = issuer, audience
	writeFile(t, opts.Source, setOf(t, keys...))
	k := jwt.New(opts)
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// reason returns why a token was not accepted, empty if it was.
func reason(t testing.TB, err error) string {
	t.Helper()
	failed, ok := errors.AsType[*auth.FailedError](err)
	if err != nil && !ok {
		t.Fatalf("got %v, want a *FailedError", err)
	}
	if err == nil {
		return ""
	}
	return failed.Reason
}

// part encodes a part of a token.
func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
