package web_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web"
)

// A secured is a server with authentication, and who made it.
type secured struct {
	*world
	table    *auth.Table
	registry *auth.Registry
	admin    auth.View
	secret   string
	// idp, if not nil, signs JWTs, which user returns instead of keys.
	idp *idp
}

func newSecured(t testing.TB, change ...func(*web.Options)) *secured {
	t.Helper()
	return newSecuredWith(t, nil, change...)
}

// newSecuredWith is newSecured with JWTs that a verifier verifies.
func newSecuredWith(t testing.TB, v auth.Verifier, change ...func(*web.Options)) *secured {
	t.Helper()
	wrapper, err := auth.WrapperOf(auth.NewSealKey())
	if err != nil {
		t.Fatal(err)
	}
	s := &secured{table: auth.NewTable(auth.TableOptions{Wrapper: wrapper, Verifier: v}), secret: auth.NewSecret(auth.Key)}
	t.Cleanup(s.table.Close)
	var store *kv.Store
	s.world = newWorldWith(t, kv.Params{}, kv.Limits{}, append(change, func(o *web.Options) {
		o.Auth, store = s.table, o.Store
		s.registry = auth.NewRegistry(s.table, store, nil)
		o.Accounts = s.registry
		o.Admin.Checkpoint = func(context.Context) error { return nil }
		o.Admin.Backup = func(context.Context, io.Writer) (int64, error) { return 0, nil }
		o.Admin.BackupSize = func() int64 { return 0 }
	})...)
	s.state.FollowPrivate(s.table)
	if made, err := s.registry.Bootstrap(t.Context(), s.secret, time.Hour); err != nil || !made {
		t.Fatalf("bootstrap: %v, %v", made, err)
	}
	who, err := s.table.Authenticate([]byte(s.secret))
	if err != nil {
		t.Fatal(err)
	}
	s.admin = auth.NewDoor(store, s.hub, s.table).As(who)
	return s
}

// user makes a user with grants of its own, and returns the secret of a key for it.
func (s *secured) user(name string, texts ...string) string {
	s.t.Helper()
	var grants []auth.Grant
	for _, text := range texts {
		g, err := auth.ParseGrant(text)
		if err != nil {
			s.t.Fatal(err)
		}
		grants = append(grants, g)
	}
	ctx := context.Background()
	if _, _, err := s.registry.PutRole(ctx, s.admin.By(), name, grants, auth.Condition{}); err != nil {
		s.t.Fatal(err)
	}
	if s.idp != nil {
		return s.idp.token(s.t, name, name)
	}
	if _, ok := s.registry.User(name); !ok {
		if _, err := s.registry.AddUser(ctx, s.admin.By(), name, auth.UserSpec{Roles: &[]string{name}}); err != nil {
			s.t.Fatal(err)
		}
	}
	secret, _, err := s.registry.AddKey(ctx, s.admin.By(), auth.KeySpec{User: name})
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// as returns the header of who has a secret.
func as(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

// What routes of users, roles and credentials need: any good credential, or an administrator's.
var (
	anyone = []string{"a credential"}
	admin  = []string{"admin"}
)

// matrix has what each method of each route needs. A route that is missing here fails the test:
// say what it requires, in needs, and add it.
var matrix = []struct {
	method, path, body string
	need               []string // that is enough; nil if nothing is required
}{
	{"GET", "/v1/kv/a/1", "", []string{"read:a/1"}},
	{"HEAD", "/v1/kv/a/1", "", []string{"read:a/1"}},
	{"PUT", "/v1/kv/a/1", "v", []string{"write:a/1"}},
	{"DELETE", "/v1/kv/a/1", "", []string{"write:a/1"}},
	{"GET", "/v1/kv?prefix=a/", "", []string{"read:a/"}},
	{"HEAD", "/v1/kv?prefix=a/", "", []string{"read:a/"}},
	{"DELETE", "/v1/kv?prefix=a/", "", []string{"write:a/"}},
	{"POST", "/v1/cas/a/1", `{"expected":null,"new":"x"}`, []string{"write:a/1"}},
	{"POST", "/v1/add/a/n?by=1", "", []string{"read,write:a/n"}},
	{"POST", "/v1/touch/a/1?ttl=1h", "", []string{"write:a/1"}},
	{"POST", "/v1/batch", `{"ops":[{"op":"put","key":"a/1","value":"x"}],"else":[{"op":"get","key":"b"}],"checks":[{"key":"c","rev":0}]}`,
		[]string{"write:a/1", "read:b", "read:c"}},
	{"GET", "/v1/watch?key=a/1&prefix=b/", "", []string{"read,watch:a/1", "read,watch:b/"}},
	{"POST", "/v1/watch", `{"keys":["a/1"]}`, []string{"read,watch:a/1"}},
	{"GET", "/v1/ws?key=a/1", "", []string{"read,watch:a/1"}},
	{"POST", "/v1/leases", `{"ttl":"10s"}`, []string{"lease"}},
	{"GET", "/v1/leases/l-0123456789abcdef0123456789abcdef", "", []string{"lease"}},
	{"HEAD", "/v1/leases/l-0123456789abcdef0123456789abcdef", "", []string{"lease"}},
	{"DELETE", "/v1/leases/l-0123456789abcdef0123456789abcdef", "", []string{"lease"}},
	{"POST", "/v1/leases/l-0123456789abcdef0123456789abcdef/keepalive", "", []string{"lease"}},
	{"POST", "/v1/locks/l", `{"ttl":"10s"}`, []string{"lock:l"}},
	{"GET", "/v1/locks/l", "", []string{"read:locks/l", "read:locks/l/queue/"}},
	{"HEAD", "/v1/locks/l", "", []string{"read:locks/l", "read:locks/l/queue/"}},
	{"DELETE", "/v1/locks/l?token=7", "", []string{"lock:l"}},
	{"DELETE", "/v1/locks/l?force=1", "", []string{"operate"}},
	{"POST", "/v1/locks/l/keepalive", `{"token":7}`, []string{"lock:l"}},
	{"GET", "/healthz", "", nil}, {"HEAD", "/healthz", "", nil},
	{"GET", "/readyz", "", nil}, {"HEAD", "/readyz", "", nil},
	{"GET", "/v1/openapi.yaml", "", nil}, {"HEAD", "/v1/openapi.yaml", "", nil},
	{"GET", "/", "", nil}, {"HEAD", "/", "", nil},
	{"GET", "/v1/status", "", []string{"metrics"}}, {"HEAD", "/v1/status", "", []string{"metrics"}},
	{"GET", "/metrics", "", []string{"metrics"}}, {"HEAD", "/metrics", "", []string{"metrics"}},
	{"POST", "/v1/admin/checkpoint", "", []string{"operate"}},
	{"GET", "/v1/admin/backup", "", []string{"backup"}},
	{"POST", "/v1/auth/login", `{"user":"x","password":"y"}`, nil},
	{"POST", "/v1/auth/renew", "", anyone}, {"POST", "/v1/auth/logout", "", anyone},
	{"GET", "/v1/auth/whoami", "", anyone}, {"HEAD", "/v1/auth/whoami", "", anyone},
	{"PUT", "/v1/auth/password", `{"old":"x","new":"y"}`, anyone},
	{"POST", "/v1/auth/tickets", `{"keys":["a/1"]}`, []string{"read,watch:a/1"}},
	{"GET", "/v1/auth/users", "", admin}, {"HEAD", "/v1/auth/users", "", admin},
	{"POST", "/v1/auth/users", `{"name":"made"}`, admin},
	{"GET", "/v1/auth/users/zz", "", admin}, {"HEAD", "/v1/auth/users/zz", "", admin},
	{"PUT", "/v1/auth/users/zz", `{}`, admin}, {"DELETE", "/v1/auth/users/zz", "", admin},
	{"GET", "/v1/auth/roles", "", admin}, {"HEAD", "/v1/auth/roles", "", admin},
	{"GET", "/v1/auth/roles/zz", "", admin}, {"HEAD", "/v1/auth/roles/zz", "", admin},
	{"PUT", "/v1/auth/roles/zz", `{"grants":[]}`, admin}, {"DELETE", "/v1/auth/roles/zz", "", admin},
	{"GET", "/v1/auth/keys", "", admin}, {"HEAD", "/v1/auth/keys", "", admin},
	{"POST", "/v1/auth/keys", `{"user":"admin","ttl":"1h"}`, admin},
	{"GET", "/v1/auth/keys/aaaaaaaaaaaaaaaa", "", anyone}, {"HEAD", "/v1/auth/keys/aaaaaaaaaaaaaaaa", "", anyone},
	{"DELETE", "/v1/auth/keys/aaaaaaaaaaaaaaaa", "", anyone},
	{"GET", "/v1/auth/sessions", "", admin}, {"HEAD", "/v1/auth/sessions", "", admin},
	{"DELETE", "/v1/auth/sessions/aaaaaaaaaaaaaaaa", "", anyone},
	{"POST", "/v1/auth/rotate", `{"what":"tickets"}`, admin},
}

// elsewhere are the methods of routes that a server offers only with parts that this one has not.
// That they are denied without an entry in needs is TestRouteWithoutNeedIsDenied's.
var elsewhere = []string{"compact POST", "migrate POST", "cluster GET", "cluster HEAD", "promote POST", "remove POST", "transfer POST",
	"server GET", "server HEAD", "server PUT", "server POST", "server DELETE"}

// Every method of every route must refuse who has no credential, a bad one, or one that allows
// everything else, and change nothing then; and let in who has just what it needs.
func TestEveryRouteAsksWhoMay(t *testing.T) {
	t.Run("loops", func(t *testing.T) { askEveryRoute(t, newSecured(t)) })
	t.Run("goroutines", func(t *testing.T) { askEveryRoute(t, newSecured(t, goroutines)) })
	t.Run("TLS", func(t *testing.T) { askEveryRoute(t, newSecured(t, secure)) })
	t.Run("JWT", func(t *testing.T) { askEveryRoute(t, newTokened(t)) })
	t.Run("JWT, goroutines", func(t *testing.T) { askEveryRoute(t, newTokened(t, goroutines)) })
}

// ended returns the secrets of a key that has expired and of one that was revoked, of an administrator.
func (s *secured) ended() (expired, revoked string) {
	s.t.Helper()
	if s.idp != nil {
		return s.idp.ended(s)
	}
	expired, _, err := s.registry.AddKey(s.t.Context(), s.admin.By(), auth.KeySpec{User: "admin", TTL: time.Millisecond})
	if err != nil {
		s.t.Fatal(err)
	}
	if revoked, _, err = s.registry.AddKey(s.t.Context(), s.admin.By(), auth.KeySpec{User: "admin"}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.registry.Revoke(s.t.Context(), s.admin.By(), auth.Key, auth.HashOf(revoked).ID()); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("a key has expired", func() bool { _, err := s.table.Authenticate([]byte(expired)); return err != nil })
	return expired, revoked
}

func askEveryRoute(t *testing.T, s *secured) {
	seen := slices.Clone(elsewhere)
	expired, revoked := s.ended()
	all := []string{"read,write,watch:zz/", "lock:zz"}
	for i, c := range matrix {
		path, _, _ := strings.Cut(c.path, "?")
		seen = append(seen, web.RouteOf(path)+" "+c.method)
		refused := func(what string, status int, headers ...string) {
			t.Helper()
			before := s.state.Position()
			r := s.do(c.method, c.path, c.body, append(handshakeOf(c.path), headers...)...)
			challenge := r.header.Get("WWW-Authenticate")
			if r.status != status || challenge == "" || (len(headers) > 0) != strings.Contains(challenge, "error=") {
				t.Errorf("%s %s, %s: got %d %.200s and the challenge %q, want %d and one with an error if a credential came", c.method, c.path, what, r.status, r.body, challenge, status)
			}
			if after := s.state.Position(); after != before {
				t.Errorf("%s %s, %s: the store went from %v to %v", c.method, c.path, what, before, after)
			}
		}
		if c.need == nil {
			for _, headers := range [][]string{nil, as(auth.NewSecret(auth.Key))} {
				if r := s.do(c.method, c.path, c.body, headers...); (r.status == 401 || r.status == 403) && r.field("reason") != "wrong_password" {
					t.Errorf("%s %s: got %d, want it to be open", c.method, c.path, r.status)
				}
			}
			continue
		}
		refused("no credential", 401)
		refused("malformed", 401, as("x")...)
		refused("unknown", 401, as(auth.NewSecret(auth.Key))...)
		refused("expired", 401, as(expired)...)
		refused("revoked", 401, as(revoked)...)
		refused("another scheme", 401, "Authorization", "Digest x")
		if &c.need[0] == &anyone[0] {
			if s.credentialsOnly(c.method, c.path) {
				refused("a JWT", 403, as(s.user(fmt.Sprint("n", i)))...)
				continue
			}
			for _, headers := range [][]string{as(s.user(fmt.Sprint("n", i))), as(s.secret)} {
				if r := s.do(c.method, c.path, c.body, headers...); r.status == 401 || r.status == 403 {
					t.Errorf("%s %s: got %d, want it to let any credential in", c.method, c.path, r.status)
				}
			}
			continue
		}
		refused("no grants", 403, as(s.user(fmt.Sprint("n", i)))...)
		refused("others", 403, as(s.user(fmt.Sprint("o", i), append(all, others(c.need)...)...))...)
		for j := range c.need { // each of them is required
			refused("all but "+c.need[j], 403, as(s.user(fmt.Sprint("b", i, "-", j), slices.Delete(slices.Clone(c.need), j, j+1)...))...)
		}
		secret := s.user(fmt.Sprint("e", i), c.need...)
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+secret))
		if s.credentialsOnly(c.method, c.path) {
			refused("a JWT", 403, as(secret)...)
			continue
		}
		for _, headers := range [][]string{as(secret), {"Authorization", basic}, as(s.secret)} {
			if status := s.statusOf(c.method, c.path, c.body, append(handshakeOf(c.path), headers...)...); status == 401 || status == 403 {
				t.Errorf("%s %s with %q: got %d, want it to be let in", c.method, c.path, c.need, status)
			}
		}
	}
	for route, methods := range web.Routes() {
		for _, m := range methods {
			if !slices.Contains(seen, route+" "+m) {
				t.Errorf("the matrix has no case for %s of route %s", m, route)
			}
		}
	}
}

// handshakeOf returns the headers that a WebSocket's handshake needs.
func handshakeOf(path string) []string {
	if !strings.HasPrefix(path, "/v1/ws") {
		return nil
	}
	return []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
}

// others returns the verbs without a target that are not needed.
func others(need []string) (out []string) {
	for _, v := range []string{"lease", "metrics", "operate", "backup", "cluster"} {
		if !slices.Contains(need, v) {
			out = append(out, v)
		}
	}
	return out
}

// statusOf returns the status of an answer that may be a stream without an end.
func (s *secured) statusOf(method, path, body string, headers ...string) int {
	s.t.Helper()
	conn, err := s.connect()
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, path, s.addr, len(body))
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(conn, "%s: %s\r\n", headers[i], headers[i+1])
	}
	fmt.Fprintf(conn, "\r\n%s", body)
	var proto string
	var status int
	if _, err := fmt.Fscan(conn, &proto, &status); err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
	}
	return status
}

// A header that is repeated must be refused: it cannot be known which of them counts.
func TestOneCredentialOnly(t *testing.T) {
	s := newSecured(t)
	r := s.do("GET", "/v1/kv/a", "", append(as(s.secret), as(s.secret)...)...)
	if r.status != 400 {
		t.Errorf("got %d %s, want 400", r.status, r.body)
	}
}

// A browser must not send this server's cookie along with what a page of another origin asks for, and
// such a page must be able to read why it was refused.
func TestForeignPagesSendNoCookie(t *testing.T) {
	s := newSecured(t, func(o *web.Options) { o.AllowOrigin = []string{"https://app.example"} })
	for _, method := range []string{"GET", "OPTIONS"} {
		r := s.do(method, "/v1/kv/a", "", "Origin", "https://app.example", "Access-Control-Request-Method", "GET")
		if got := r.header.Get("Access-Control-Allow-Credentials"); got != "" {
			t.Errorf("%s: Access-Control-Allow-Credentials is %q, want none", method, got)
		}
		if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
			t.Errorf("%s: the challenge is not exposed", method)
		}
	}
}

// Callers without a credential have the role anonymous, and nothing else.
func TestAnonymousRole(t *testing.T) {
	s := newSecured(t)
	s.want(401, "GET", "/v1/kv/a/1", "")
	s.user("anonymous", "read:a/")
	s.want(404, "GET", "/v1/kv/a/1", "")
	s.want(401, "GET", "/v1/kv/b", "")
	s.want(401, "GET", "/v1/kv/a/1", "", as(auth.NewSecret(auth.Key))...)
}

// Two users behind one address must not share what an Idempotency-Key remembers, or leases.
func TestUsersBehindOneAddress(t *testing.T) {
	s := newSecured(t)
	ann, bob := s.user("ann", "write:a/", "lease"), s.user("bob", "write:a/", "lease")
	for i, who := range []string{ann, bob} {
		r := s.want([]int{201, 200}[i], "PUT", "/v1/kv/a/1", "v", append(as(who), "Idempotency-Key", "k")...)
		if r.header.Get("Idempotency-Replayed") != "" {
			t.Error("one user was given the other's answer")
		}
	}
	lease, _ := s.want(201, "POST", "/v1/leases", `{"ttl":"1h"}`, as(ann)...).field("id").(string)
	s.want(404, "DELETE", "/v1/leases/"+lease, "", as(bob)...)
	s.want(409, "PUT", "/v1/kv/a/2?lease="+lease, "v", as(bob)...)
	s.want(200, "DELETE", "/v1/leases/"+lease, "", as(ann)...)
}

// A large body of who has no credential must be refused before it is read.
func TestBodyBeforeCredential(t *testing.T) {
	s := newSecured(t, func(o *web.Options) { o.ReadTimeout = time.Hour })
	large := strings.Repeat("x", 200<<10)
	for _, headers := range [][]string{nil, as("x"), as(auth.NewSecret(auth.Key))} {
		if r := s.do("PUT", "/v1/kv/a", large, headers...); r.status != 401 {
			t.Errorf("%q: got %d %s", headers, r.status, r.body)
		}
	}
	got := s.raw("PUT /v1/kv/a HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Length: 200000\r\n\r\nx")
	if !strings.HasPrefix(got, "HTTP/1.1 401 ") {
		t.Errorf("without waiting for the body: got %.200q", got)
	}
	got = s.raw("PUT /v1/kv/a HTTP/1.1\r\nHost: " + s.addr + "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 401 ") {
		t.Errorf("without waiting for the end: got %.200q", got)
	}
	s.want(201, "PUT", "/v1/kv/a", large, as(s.secret)...)
	s.user("anonymous", "write:open/")
	s.want(201, "PUT", "/v1/kv/open/a", large)
}
