package jwt_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"keywatch/auth"
	"keywatch/auth/jwt"
	"keywatch/kv"
	"keywatch/ratelimit"
)

// If this failed, a token of a supported algorithm would not be accepted, or for whom it is not.
func TestVerify(t *testing.T) {
	var keys []signing
	for _, alg := range []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.HS256,
	} {
		keys = append(keys, newSigning(t, alg, "key of "+string(alg)))
	}
	k := loaded(t, jwt.Options{}, keys...)
	ids := make(map[string]bool)
	for _, s := range keys {
		id, err := k.Verify(s.token(t, nil), "10.0.0.1")
		if err != nil {
			t.Fatalf("%s: %v", s.alg, err)
		}
		if id.Issuer != issuer || id.Name != "ann" || !slices.Equal(id.Roles, []string{"reader", "writer", "no"}) {
			t.Errorf("%s: got %+v", s.alg, id)
		}
		if left := time.Until(time.UnixMilli(id.Expires)); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%s: expires in %v, want an hour", s.alg, left)
		}
		ids[id.Signer] = true
	}
	if len(ids) != len(keys) {
		t.Errorf("%d keys have %d ids", len(keys), len(ids))
	}
}

// If this failed, each wrong token would have a server of a cluster ask its leader, and be verified twice: no server
// makes tokens, so that none can be new at another one.
func TestRefusedTokensAreNotNew(t *testing.T) {
	s, forged, other := newSigning(t, jose.EdDSA, "a"), newSigning(t, jose.EdDSA, "a"), newSigning(t, jose.EdDSA, "b")
	k := loaded(t, jwt.Options{}, s)
	for name, text := range map[string]string{
		"wrong signature":  forged.token(t, nil),
		"unknown kid":      other.token(t, nil),
		"another issuer":   s.token(t, map[string]any{"iss": "https://other.example"}),
		"another audience": s.token(t, map[string]any{"aud": "other"}),
		"not valid yet":    s.token(t, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
	} {
		if _, err := k.Verify(text, ""); reason(t, err) != auth.Unknown || auth.MayBeNew(err) {
			t.Errorf("%s: got %v, may be new: %v", name, err, auth.MayBeNew(err))
		}
	}
	table := auth.NewTable(auth.TableOptions{})
	defer table.Close()
	if _, err := table.Authenticate([]byte(auth.NewSecret(auth.Key))); !auth.MayBeNew(err) {
		t.Errorf("an API key that is not known: got %v, want one that may be new", err)
	}
}

// If this failed, claims would be read otherwise than their issuer means them.
func TestClaims(t *testing.T) {
	s := newSigning(t, jose.EdDSA, "a")
	now := time.Now()
	k := loaded(t, jwt.Options{Now: func() time.Time { return now }}, s)
	other := loaded(t, jwt.Options{UserClaim: "email", RolesClaim: "scope"}, s)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, c := range []struct {
		name    string
		changes map[string]any
		reason  string
	}{
		{"as usual", nil, ""},
		{"several audiences", map[string]any{"aud": []string{"other", audience}}, ""},
		{"without roles", map[string]any{"roles": nil}, ""},
		{"fraction of a second", map[string]any{"exp": float64(at(time.Hour)) + 0.5}, ""},
		{"clock of the issuer ahead", map[string]any{"iat": at(jwt.Leeway - time.Second), "nbf": at(jwt.Leeway - time.Second)}, ""},
		{"another issuer", map[string]any{"iss": issuer + "/"}, auth.Unknown},
		{"no issuer", map[string]any{"iss": nil}, auth.Unknown},
		{"another audience", map[string]any{"aud": "Keywatch"}, auth.Unknown},
		{"no audience", map[string]any{"aud": nil}, auth.Unknown},
		{"empty audience", map[string]any{"aud": []string{}}, auth.Unknown},
		{"audience of another type", map[string]any{"aud": map[string]any{audience: 1}}, auth.Malformed},
		{"no end", map[string]any{"exp": nil}, auth.Malformed},
		{"end as text", map[string]any{"exp": "1999999999"}, auth.Malformed},
		{"end too large", map[string]any{"exp": 1e300}, auth.Malformed},
		{"negative end", map[string]any{"exp": -1}, auth.Malformed},
		{"expired now", map[string]any{"exp": at(0)}, auth.Expired},
		{"expired a second ago", map[string]any{"exp": at(-time.Second)}, auth.Expired},
		{"not yet", map[string]any{"nbf": at(jwt.Leeway + 2*time.Second)}, auth.Unknown},
		{"issued later", map[string]any{"iat": at(jwt.Leeway + 2*time.Second)}, auth.Unknown},
		{"beginning as text", map[string]any{"nbf": "0"}, auth.Malformed},
		{"no name", map[string]any{"sub": nil}, auth.Malformed},
		{"name of another type", map[string]any{"sub": 7}, auth.Malformed},
		{"name with a slash", map[string]any{"sub": "a/b"}, auth.Malformed},
		{"name of a path", map[string]any{"sub": ".."}, auth.Malformed},
		{"name that is too long", map[string]any{"sub": strings.Repeat("a", auth.MaxName+1)}, auth.Malformed},
		{"roles of another type", map[string]any{"roles": 1}, auth.Malformed},
	} {
		if _, err := k.Verify(s.token(t, c.changes), ""); reason(t, err) != c.reason {
			t.Errorf("%s: got %v, want %q", c.name, err, c.reason)
		}
	}
	id, err := other.Verify(s.token(t, map[string]any{"email": "ann@example.org", "scope": "reader writer"}), "")
	if err != nil || id.Name != "ann@example.org" || !slices.Equal(id.Roles, []string{"reader", "writer"}) {
		t.Errorf("other claims: got %+v, %v", id, err)
	}
	if _, err := other.Verify(s.token(t, nil), ""); reason(t, err) != auth.Malformed {
		t.Errorf("without the claim of the user: got %v", err)
	}
}

// If this failed, a token could say how it is verified.
func TestAlgorithmIsOfTheKey(t *testing.T) {
	rs, hs := newSigning(t, jose.RS256, "rs"), newSigning(t, jose.HS256, "hs")
	k := loaded(t, jwt.Options{Failures: ratelimit.Rate{PerSecond: 1000, Burst: 1000}}, rs, hs)
	for _, good := range []signing{rs, hs} {
		if _, err := k.Verify(good.token(t, nil), ""); err != nil {
			t.Fatalf("control: %v", err)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(rs.public().Key)
	if err != nil {
		t.Fatal(err)
	}
	body := part(string(payload(t, nil)))
	// The public key as the secret of an HMAC, in each form that it is published in, under each kid.
	jwk, err := json.Marshal(rs.public())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), jwk} {
		for _, kid := range []string{"rs", "hs", "other"} {
			head := part(`{"alg":"HS256","kid":"` + kid + `"}`)
			m := hmac.New(sha256.New, secret)
			m.Write([]byte(head + "." + body))
			text := head + "." + body + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
			if _, err := k.Verify(text, ""); reason(t, err) != auth.Unknown {
				t.Errorf("HS256 with a public key, kid %s: got %v", kid, err)
			}
		}
	}
	// Another algorithm of the same type of key.
	for _, alg := range []jose.SignatureAlgorithm{jose.RS512, jose.PS256} {
		if _, err := k.Verify((signing{alg, "rs", rs.priv}).token(t, nil), ""); reason(t, err) != auth.Unknown {
			t.Errorf("%s with a key for RS256: got %v", alg, err)
		}
	}
	_, sig, _ := cutLast(rs.token(t, nil))
	for _, alg := range []string{"none", "None", "NONE", "nOnE", " none", "none ", "", "HS1", "HS384", "RS256 ", "rs256"} {
		for _, sig := range []string{"", sig, "AA"} {
			text := part(`{"alg":"`+alg+`","kid":"rs"}`) + "." + body + "." + sig
			if _, err := k.Verify(text, ""); reason(t, err) != auth.Malformed {
				t.Errorf("alg %q: got %v", alg, err)
			}
		}
	}
}

// cutLast returns what is before the last dot, and after it.
func cutLast(text string) (before, after string, ok bool) {
	i := strings.LastIndexByte(text, '.')
	return text[:max(i, 0)], text[i+1:], i >= 0
}

// If this failed, what is no token of the one form would be looked into.
func TestForms(t *testing.T) {
	s := newSigning(t, jose.ES256, "a")
	k := loaded(t, jwt.Options{Failures: ratelimit.Rate{PerSecond: 1000, Burst: 1000}}, s)
	good := s.token(t, nil)
	if _, err := k.Verify(good, ""); err != nil {
		t.Fatalf("control: %v", err)
	}
	parts := strings.Split(good, ".")
	jws, err := jose.ParseSignedCompact(good, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "dots": "..", "a megabyte of dots": strings.Repeat(".", 1<<20), "too long": good + strings.Repeat("A", auth.TokenMax),
		"four parts": good + ".AA", "five parts, as encrypted ones": good + ".AA.AA", "no signature": parts[0] + "." + parts[1] + ".",
		"no claims": parts[0] + ".." + parts[2], "padded": good + "=", "with a space": " " + good, "with a line end": good + "\n",
		"JSON": jws.FullSerialize(), "several signatures": `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
		"claims of an array": s.sign(t, []byte(`["iss"]`), nil), "claims of no JSON": s.sign(t, []byte(`hello`), nil),
		"a claim twice":      s.sign(t, []byte(strings.Replace(string(payload(t, nil)), "{", `{"iss":"x",`, 1)), nil),
		"a token in a token": s.sign(t, []byte(good), map[jose.HeaderKey]any{"cty": "JWT"}),
		"header twice":       part(`{"alg":"none","alg":"ES256","kid":"a"}`) + "." + parts[1] + "." + parts[2],
	} {
		if _, err := k.Verify(text, ""); reason(t, err) != auth.Malformed {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, c := range []struct{ name, value, reason string }{
		{"typ", "JWT", ""}, {"typ", "at+jwt", ""}, {"typ", "application/AT+JWT", ""}, {"typ", "logout+jwt", auth.Malformed}, {"typ", "JOSE", auth.Malformed},
		{"cty", "JWT", auth.Malformed}, {"zip", "DEF", auth.Malformed}, {"enc", "A128GCM", auth.Malformed}, {"x5t", "abc", ""},
	} {
		text := s.sign(t, payload(t, nil), map[jose.HeaderKey]any{jose.HeaderKey(c.name): c.value})
		if _, err := k.Verify(text, ""); reason(t, err) != c.reason {
			t.Errorf("%s %s: got %v, want %q", c.name, c.value, err, c.reason)
		}
	}
	for name, value := range map[string]any{"crit": []string{"exp"}, "b64": true} {
		head, _ := json.Marshal(map[string]any{"alg": "ES256", "kid": "a", name: value})
		if _, err := k.Verify(part(string(head))+"."+parts[1]+"."+parts[2], ""); reason(t, err) != auth.Malformed {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// A signature has one text: otherwise each would be another credential.
	before, sig, _ := cutLast(s.token(t, nil))
	if last := sig[len(sig)-1]; len(sig)%4 == 2 {
		other := string(slices.Concat([]byte(sig[:len(sig)-1]), []byte{last + 1}))
		if _, err := k.Verify(before+"."+other, ""); reason(t, err) != auth.Malformed {
			t.Errorf("another text of a signature: got %v", err)
		}
	}
}

// If this failed, what is refused at sight would take memory.
func TestRefusalTakesNoMemory(t *testing.T) {
	dots := strings.Repeat(".", 1<<20)
	if n := testing.AllocsPerRun(100, func() {
		if auth.IsJWT(dots) {
			t.Error("a megabyte of dots is a token")
		}
	}); n != 0 {
		t.Errorf("a megabyte of dots: %v allocations, want 0", n)
	}
}

// If this failed, any client could by a token have the server ask an address.
func TestTokenNamesNoAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var heard atomic.Int64
	accepted := make(chan struct{}, 1)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			heard.Add(1)
			nc.Close()
			accepted <- struct{}{}
		}
	}()
	url := "http://" + ln.Addr().String() + "/keys"
	s := newSigning(t, jose.ES256, "a")
	k := loaded(t, jwt.Options{}, s)
	evil := newSigning(t, jose.ES256, url)
	jwk := evil.public()
	for name, value := range map[jose.HeaderKey]any{"jku": url, "x5u": url, "jwk": jwk, "x5c": []string{"AA"}} {
		for _, by := range []signing{s, evil} {
			if _, err := k.Verify(by.sign(t, payload(t, map[string]any{"iss": url, "jwks_uri": url}), map[jose.HeaderKey]any{name: value}), ""); reason(t, err) != auth.Malformed {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	for _, changes := range []map[string]any{{"iss": url}, {"jku": url}, {"jwks_uri": url, "iss": issuer}} {
		if _, err := k.Verify(evil.token(t, changes), ""); reason(t, err) != auth.Unknown {
			t.Errorf("claims %v: got %v", changes, err)
		}
	}
	if n := heard.Load(); n != 0 {
		t.Fatalf("the listener that tokens name heard %d connections", n)
	}
	// The control: the listener hears one who does ask.
	if err := jwt.New(jwt.Options{Source: url, Issuer: issuer, Audience: audience}).Load(t.Context()); err == nil {
		t.Error("keys were read from a listener that answers nothing")
	}
	<-accepted
	if heard.Load() == 0 {
		t.Error("the listener hears nothing at all")
	}
}

// If this failed, a token could be tried with any number of keys, or one without kid with none.
func TestCandidates(t *testing.T) {
	var keys []signing
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		keys = append(keys, newSigning(t, jose.ES256, name))
	}
	k := loaded(t, jwt.Options{}, keys...)
	for i, s := range keys {
		if _, err := k.Verify(s.token(t, nil), "10.0.0.1"); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
		s.kid = ""
		want := ""
		if i >= jwt.TriedMax {
			want = auth.Unknown
		}
		if _, err := k.Verify(s.token(t, nil), "10.0.0.2"); reason(t, err) != want {
			t.Errorf("key %d, token without kid: got %v, want %q", i, err, want)
		}
		s.kid = keys[(i+1)%len(keys)].kid
		if _, err := k.Verify(s.token(t, nil), "10.0.0.3"); reason(t, err) != auth.Unknown {
			t.Errorf("key %d under the kid of another: got %v", i, err)
		}
	}
	// Without kid in the set, that of a token says nothing.
	nameless := newSigning(t, jose.EdDSA, "")
	one := loaded(t, jwt.Options{}, nameless)
	nameless.kid = "whatever"
	if _, err := one.Verify(nameless.token(t, nil), ""); err != nil {
		t.Errorf("key without kid: %v", err)
	}
}

// If this failed, wrong signatures would cost as much work as an attacker likes, or good tokens would wait for
// those of another address.
func TestWrongSignaturesAreBounded(t *testing.T) {
	s := newSigning(t, jose.ES256, "a")
	k := loaded(t, jwt.Options{Failures: ratelimit.Rate{PerSecond: 1.0 / 3600, Burst: 3}}, s)
	evil := newSigning(t, jose.ES256, "a")
	for range 3 {
		if _, err := k.Verify(evil.token(t, nil), "2001:db8::1"); reason(t, err) != auth.Unknown {
			t.Fatal(err)
		}
	}
	for _, by := range []signing{evil, s} {
		_, err := k.Verify(by.token(t, nil), "2001:db8::2") // the same /64
		if !errors.Is(err, auth.ErrTooManyTokens) || !strings.Contains(err.Error(), "--login-rate-address") {
			t.Errorf("after three: got %v, want ErrTooManyTokens that names the limit", err)
		}
	}
	if _, err := k.Verify(s.token(t, nil), "2001:db8:1::1"); err != nil {
		t.Errorf("another address: %v", err)
	}
	// What needs no signature to be refused is not counted.
	for range 10 {
		if _, err := k.Verify(evil.token(t, map[string]any{"aud": "x"}), "10.0.0.1"); reason(t, err) != auth.Unknown {
			t.Fatal(err)
		}
	}
	if _, err := k.Verify(s.token(t, nil), "10.0.0.1"); err != nil {
		t.Errorf("after ten of another audience: %v", err)
	}
	done := k.Occupy()
	if _, err := k.Verify(s.token(t, nil), "10.0.0.1"); !errors.Is(err, auth.ErrTooManyTokens) {
		t.Errorf("while too many wait: got %v, want ErrTooManyTokens", err)
	}
	done()
	if _, err := k.Verify(s.token(t, nil), "10.0.0.1"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// If this failed, who has no key of the issuer could have a server read hundreds of roles with each request.
func TestRolesAreReadAfterTheSignature(t *testing.T) {
	s := newSigning(t, jose.EdDSA, "a")
	k := loaded(t, jwt.Options{}, s)
	other := newSigning(t, jose.EdDSA, "a")
	changes := map[string]any{"roles": 1}
	if _, err := k.Verify(s.token(t, changes), ""); reason(t, err) != auth.Malformed {
		t.Errorf("roles of another type: got %v, want %s", err, auth.Malformed)
	}
	if _, err := k.Verify(other.token(t, changes), ""); reason(t, err) != auth.Unknown {
		t.Errorf("the same with a wrong signature: got %v, want %s", err, auth.Unknown)
	}
}

// If this failed, a client would drop its token while the server has no keys yet.
func TestWithoutKeys(t *testing.T) {
	k := jwt.New(jwt.Options{Source: "nowhere", Issuer: issuer, Audience: audience})
	if _, err := k.Verify(newSigning(t, jose.ES256, "a").token(t, nil), ""); !errors.Is(err, kv.ErrStarting) {
		t.Errorf("got %v, want kv.ErrStarting", err)
	}
}

// If this failed, a token could end the server, or be accepted although no key has signed it.
func FuzzVerify(f *testing.F) {
	s := newSigning(f, jose.EdDSA, "a")
	k := loaded(f, jwt.Options{Failures: ratelimit.Rate{PerSecond: 1e6, Burst: 1000000}}, s)
	good := s.token(f, map[string]any{"exp": time.Now().Add(1000 * time.Hour).Unix()})
	for _, seed := range []string{good, "", "..", "eyJ.eyJ.AA", part(`{"alg":"none"}`) + "." + part(`{}`) + ".", part(`{"alg":"EdDSA","crit":["exp"]}`) + ".e30.AA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := k.Verify(text, "")
		if err == nil && (text != good || id.Name != "ann") {
			t.Errorf("accepted %q as %+v", text, id)
		}
		if _, failed := errors.AsType[*auth.FailedError](err); err != nil && !failed {
			t.Errorf("got %v, want a *FailedError", err)
		}
	})
}
