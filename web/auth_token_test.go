package web_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"keywatch/auth"
	"keywatch/auth/jwt"
	"keywatch/ratelimit"
	"keywatch/web"
	"keywatch/web/ws/wstest"
)

// An idp is an issuer of JWTs: its keys, and those that the server knows.
type idp struct {
	keys    *jwt.Keys
	path    string
	signing map[string]ed25519.PrivateKey // by kid
	table   *auth.Table
}

// newIDP returns an issuer whose keys are not read yet; failures bounds wrong signatures, or is the default.
func newIDP(failures ratelimit.Rate) *idp {
	p := &idp{signing: make(map[string]ed25519.PrivateKey)}
	p.path = filepath.Join(os.TempDir(), "keywatch-keys-"+auth.HashOf(auth.NewSecret(auth.Key)).ID().String()) // written by begin
	var err error
	for _, kid := range []string{"a", "b", "forged"} {
		if _, p.signing[kid], err = ed25519.GenerateKey(nil); err != nil {
			panic(err)
		}
	}
	p.keys = jwt.New(jwt.Options{
		Source: p.path, Issuer: "https://idp.example", Audience: "keywatch", Failures: failures,
		Changed: func(ids []string) {
			if p.table != nil {
				p.table.SetSigners(ids)
			}
		},
	})
	return p
}

// begin has the server know the keys a and b.
func (p *idp) begin(t testing.TB) {
	t.Helper()
	t.Cleanup(func() { os.Remove(p.path) })
	p.publish(t, "a", "b")
}

// publish has the server know these keys.
func (p *idp) publish(t testing.TB, kids ...string) {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, kid := range kids {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: p.signing[kid].Public(), KeyID: kid, Algorithm: "EdDSA"})
	}
	b, err := json.Marshal(set)
	if err == nil {
		err = os.WriteFile(p.path, b, 0o600)
	}
	if err == nil {
		err = p.keys.Load(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sign returns a JWT that a key signs as the one with a kid.
func (p *idp) sign(t testing.TB, key, kid, name string, expires time.Time, roles ...string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: p.signing[key], KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(map[string]any{
		"iss": "https://idp.example", "aud": "keywatch", "sub": name, "roles": roles, "exp": float64(expires.UnixMilli()) / 1000, "jti": auth.NewSecret(auth.Key),
	})
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

// token returns a JWT for an hour.
func (p *idp) token(t testing.TB, name string, roles ...string) string {
	t.Helper()
	return p.sign(t, "a", "a", name, time.Now().Add(time.Hour), roles...)
}

// forged returns a JWT whose signature is not that of the key that it names.
func (p *idp) forged(t testing.TB, name string) string {
	t.Helper()
	return p.sign(t, "forged", "a", name, time.Now().Add(time.Hour))
}

// ended returns a JWT that has expired, and one whose key was removed, both of which were good.
func (p *idp) ended(s *secured) (expired, revoked string) {
	s.t.Helper()
	expired = p.sign(s.t, "a", "a", "late", time.Now().Add(200*time.Millisecond), "admin")
	revoked = p.sign(s.t, "b", "b", "revoked", time.Now().Add(time.Hour), "admin")
	for _, text := range []string{expired, revoked} {
		s.do("GET", "/v1/auth/users", "", as(text)...) // slow machines may find the first one expired already
	}
	s.want(200, "GET", "/v1/auth/users", "", as(revoked)...)
	p.publish(s.t, "a")
	s.eventually("a token has expired", func() bool { _, err := s.table.Verify([]byte(expired), ""); return err != nil })
	return expired, revoked
}

// newTokened returns a server whose users have JWTs.
func newTokened(t testing.TB, change ...func(*web.Options)) *secured {
	t.Helper()
	p := newIDP(ratelimit.Rate{})
	s := newSecuredWith(t, p.keys, change...)
	s.idp, p.table = p, s.table
	p.begin(t)
	return s
}

// credentialsOnly reports whether a JWT is not enough for a request, whatever roles it names: it would make or
// end credentials.
func (s *secured) credentialsOnly(method, path string) bool {
	if s.idp == nil || !strings.HasPrefix(path, "/v1/auth/") || method == http.MethodGet || method == http.MethodHead {
		return false
	}
	switch path {
	case "/v1/auth/renew", "/v1/auth/password": // 400: they are of sessions only
		return false
	}
	return true
}

// If this failed, a JWT would be accepted where it can be stolen, or not where an API key is.
func TestTokenOverHTTP(t *testing.T) {
	for name, change := range map[string]func(*web.Options){"loops": func(*web.Options) {}, "goroutines": goroutines, "TLS": secure} {
		t.Run(name, func(t *testing.T) {
			s := newTokened(t, change)
			ann := s.user("ann", "read,watch:a/", "write:a/{user}/", "lease")
			who := s.want(200, "GET", "/v1/auth/whoami", "", as(ann)...)
			if who.field("kind") != "jwt" || who.field("user") != "ann" || who.field("expires_ms").(float64) < float64(time.Now().UnixMilli()) {
				t.Errorf("whoami: got %s", who.body)
			}
			if id, _ := who.field("id").(string); !strings.HasPrefix(id, "u-jwt-") {
				t.Errorf("whoami: got id %q", id)
			}
			s.want(201, "PUT", "/v1/kv/a/ann/1", "v", as(ann)...)
			s.want(403, "PUT", "/v1/kv/a/bob/1", "v", as(ann)...)
			s.want(200, "GET", "/v1/kv/a/ann/1", "", as(ann)...)
			s.want(201, "POST", "/v1/leases", `{"ttl":"10s"}`, as(ann)...)
			s.want(403, "POST", "/v1/auth/tickets", `{"prefixes":["a/"]}`, as(ann)...)
			// Where a token would be written down, or sent by a browser unasked.
			for _, path := range []string{"/v1/watch?prefix=a/&ticket=" + ann, "/v1/kv/a/ann/1?token=" + ann, "/v1/kv/a/ann/1?access_token=" + ann} {
				r := s.do("GET", path, "")
				if r.status != 401 && r.status != 400 || strings.Contains(r.body, ann) {
					t.Errorf("in a query: got %d %s", r.status, r.body)
				}
			}
			r := s.do("GET", "/v1/kv/a/ann/1", "", "Cookie", "__Host-keywatch="+ann, "Sec-Fetch-Site", "same-origin")
			if r.status != 401 {
				t.Errorf("in a cookie: got %d %s, want 401", r.status, r.body)
			}
			for _, text := range []string{strings.Repeat(".", 8000), "eyJ." + strings.Repeat("A", 4000) + "." + strings.Repeat("A", 3000)} {
				if r := s.do("GET", "/v1/kv/a/ann/1", "", as(text)...); r.status != 401 || r.field("reason") != "malformed" {
					t.Errorf("%d bytes: got %d %s, want 401 malformed", len(text), r.status, r.body)
				}
			}
			bad := s.want(401, "GET", "/v1/kv/a/ann/1", "", as(s.idp.forged(t, "ann"))...)
			if bad.field("reason") != "unknown" || !strings.Contains(bad.body, "wrong signature") {
				t.Errorf("forged: got %s", bad.body)
			}
			metrics := s.want(200, "GET", "/metrics", "", as(s.secret)...).body
			for _, line := range []string{`keywatch_auth_requests_total{result="jwt"} 6`, `keywatch_auth_records{kind="jwts"} 1`} {
				if !strings.Contains(metrics, line) {
					t.Errorf("metrics lack %s", line)
				}
			}
		})
	}
}

// If this failed, the name of an administrator in a JWT would be enough.
func TestTokenWithTheNameOfAUser(t *testing.T) {
	s := newTokened(t)
	r := s.want(401, "GET", "/v1/auth/whoami", "", as(s.idp.token(t, "Admin", "admin"))...)
	if r.field("reason") != "disabled" {
		t.Errorf("got %s, want reason disabled", r.body)
	}
	s.want(200, "GET", "/v1/auth/users", "", as(s.idp.token(t, "root", "admin"))...)
}

// follow opens a stream and a socket with a token, and returns once both are told of changes. ended gets why the
// stream ends. ok is false if the token has expired before.
func (s *secured) follow(token string) (ended chan string, socket *wstest.Client, ok bool) {
	s.t.Helper()
	ended, synced := make(chan string, 1), make(chan bool, 1)
	var w told
	go func() {
		s.stream(token, "a/1", func(event map[string]any) {
			if w.note(event); w.synced {
				select {
				case synced <- true:
				default:
				}
			}
		})
		close(synced)
		ended <- w.denied
	}()
	socket, _, err := wstest.DialBy(s.t, s.client, s.wsBase()+"/v1/ws?key=a/1", "keywatch.v1.json", as(token)...)
	if err == nil {
		s.t.Cleanup(func() { socket.Conn.CloseNow() })
		all := socket.Text()
		for !strings.Contains(all, `"synced"`) && !strings.Contains(all, `"denied"`) {
			all += socket.Text()
		}
		ok = strings.Contains(all, `"synced"`)
	}
	return ended, socket, <-synced && ok
}

// If this failed, streams would go on after their token has expired, its key was removed, or its role was
// narrowed, or would end for another reason.
func TestStreamEndsWithItsToken(t *testing.T) {
	for _, c := range []struct {
		code string
		ttl  time.Duration
		end  func(s *secured)
	}{
		{"expired", 100 * time.Millisecond, func(*secured) {}},
		{"revoked", time.Hour, func(s *secured) { s.idp.publish(s.t, "b") }},
		{"narrowed", time.Hour, func(s *secured) { s.user("reader", "read,watch:b/") }},
		{"disabled", time.Hour, func(s *secured) {
			if _, err := s.registry.AddUser(s.t.Context(), s.admin.By(), "ann", auth.UserSpec{}); err != nil {
				s.t.Fatal(err)
			}
		}},
	} {
		t.Run(c.code, func(t *testing.T) {
			s := newTokened(t)
			s.user("reader", "read,watch:a/")
			other := s.idp.sign(t, "b", "b", "bob", time.Now().Add(time.Hour), "reader")
			var text string
			var ended chan string
			var socket *wstest.Client
			for ttl, ok := c.ttl, false; !ok; ttl *= 2 { // until it lives long enough to be used
				text = s.idp.sign(t, "a", "a", "ann", time.Now().Add(ttl), "reader")
				ended, socket, ok = s.follow(text)
			}
			c.end(s)
			if got := <-ended; got != c.code {
				t.Errorf("the stream ended with %q, want %q", got, c.code)
			}
			if all := until(socket, `"code":"`+c.code+`"`); c.code == "expired" && !strings.Contains(all, `"grace_ms":15000`) {
				t.Errorf("the socket was told %s, want a grace", all)
			}
			if c.code != "narrowed" {
				s.refusedStream(text)
				s.want(404, "GET", "/v1/kv/a/1", "", as(other)...)
			}
		})
	}
}
