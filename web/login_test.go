package web_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"keywatch/auth"
	"keywatch/ratelimit"
	"keywatch/web"
)

const password = "correct horse battery"

// person makes a user with a password and grants of its own.
func (s *secured) person(name string, grants ...string) {
	s.t.Helper()
	s.user(name, grants...)
	spec := auth.UserSpec{Password: new(password)}
	if _, err := s.registry.SetUser(context.Background(), s.admin.By(), name, spec, auth.Condition{}); err != nil {
		s.t.Fatal(err)
	}
}

// logIn returns the token of a new session.
func (s *secured) logIn(name string, headers ...string) string {
	s.t.Helper()
	r := s.want(200, "POST", "/v1/auth/login", fmt.Sprintf(`{"user":%q,"password":%q}`, name, password), headers...)
	token, _ := r.field("token").(string)
	return token
}

func TestLogin(t *testing.T) {
	s := newSecured(t)
	s.person("ann", "read:a/")
	wrong := s.want(401, "POST", "/v1/auth/login", `{"user":"ann","password":"wrong password"}`)
	if none := s.want(401, "POST", "/v1/auth/login", `{"user":"nobody","password":"wrong password"}`); none.body != wrong.body {
		t.Errorf("a user who does not exist: got %s, want the answer to a wrong password %s", none.body, wrong.body)
	}
	token := s.logIn("Ann")
	me := s.want(200, "GET", "/v1/auth/whoami", "", as(token)...)
	if me.field("user") != "ann" || me.field("kind") != "session" || me.field("expires_ms") == nil {
		t.Errorf("whoami: got %s", me.body)
	}
	s.want(404, "GET", "/v1/kv/a/1", "", as(token)...)
	s.want(403, "GET", "/v1/kv/b", "", as(token)...)
	for can, want := range map[string]bool{"read:a/": true, "read:a/*": true, "read:a": false, "write:a/1": false, "lease": false} {
		if r := s.want(200, "GET", "/v1/auth/whoami?can="+can, "", as(token)...); r.field("can") != want {
			t.Errorf("can=%s: got %s, want %v", can, r.body, want)
		}
	}
	s.want(400, "GET", "/v1/auth/whoami?can=eat:a", "", as(token)...)

	next, _ := s.want(200, "POST", "/v1/auth/renew", "", as(token)...).field("token").(string)
	s.want(200, "GET", "/v1/auth/whoami", "", as(token)...) // for a minute
	s.want(204, "POST", "/v1/auth/logout", "", as(next)...)
	s.want(401, "GET", "/v1/auth/whoami", "", as(next)...)

	first, second := s.logIn("ann"), s.logIn("ann")
	s.want(204, "POST", "/v1/auth/logout", `{"all":true}`, as(second)...)
	s.want(401, "GET", "/v1/auth/whoami", "", as(first)...)
	s.want(401, "GET", "/v1/auth/whoami", "", as(token)...)

	first = s.logIn("ann")
	s.logIn("ann", as(first)...) // a login ends the session that it came with
	s.want(401, "GET", "/v1/auth/whoami", "", as(first)...)
}

// A new password must end the user's other sessions, and the old one must be right.
func TestChangePassword(t *testing.T) {
	s := newSecured(t)
	s.person("ann")
	own, other := s.logIn("ann"), s.logIn("ann")
	s.want(401, "PUT", "/v1/auth/password", `{"old":"wrong password","new":"another password"}`, as(own)...)
	s.want(400, "PUT", "/v1/auth/password", fmt.Sprintf(`{"old":%q,"new":"short"}`, password), as(own)...)
	s.want(400, "PUT", "/v1/auth/password", fmt.Sprintf(`{"old":%q,"new":"another password"}`, password), as(s.secret)...)
	s.want(204, "PUT", "/v1/auth/password", fmt.Sprintf(`{"old":%q,"new":"another password"}`, password), as(own)...)
	s.want(200, "GET", "/v1/auth/whoami", "", as(own)...)
	s.want(401, "GET", "/v1/auth/whoami", "", as(other)...)
	s.want(401, "POST", "/v1/auth/login", fmt.Sprintf(`{"user":"ann","password":%q}`, password))
}

// Failed logins must be bounded by address and by name, before a password is looked at, and the
// error must name the limit; good ones must not count.
func TestLoginLimits(t *testing.T) {
	s := newSecured(t, func(o *web.Options) {
		o.LoginRate = web.LoginRate{Address: ratelimit.Rate{PerSecond: 1e-7, Burst: 3}, Name: ratelimit.Rate{PerSecond: 1e-7, Burst: 2}}
		o.TrustedProxy = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	s.person("ann")
	try := func(status int, user, address string) reply {
		t.Helper()
		return s.want(status, "POST", "/v1/auth/login", fmt.Sprintf(`{"user":%q,"password":"wrong password"}`, user), "X-Forwarded-For", address)
	}
	for range 4 {
		s.logIn("ann", "X-Forwarded-For", "192.0.2.1")
	}
	try(401, "ann", "192.0.2.2")
	try(401, "ANN", "192.0.2.3")
	hashed := s.registry.Passwords.Hashed()
	r := try(429, "ann", "192.0.2.4")
	if r.code() != "too_many_logins" || !strings.Contains(r.body, "--login-rate-name") || r.header.Get("Retry-After") == "" {
		t.Errorf("too many under one name: got %s", r.body)
	}
	for i, address := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"} {
		try(401, fmt.Sprint("u", i), address)
	}
	hashed += 3
	if r := try(429, "u9", "2001:db8::4"); !strings.Contains(r.body, "--login-rate-address") {
		t.Errorf("too many from one network: got %s", r.body)
	}
	try(401, "u9", "2001:db8:0:1::1") // another network
	if got := s.registry.Passwords.Hashed(); got != hashed+1 {
		t.Errorf("got %d hashes, want %d: a refused login must cost none", got, hashed+1)
	}
}

// A session in a cookie must count over TLS only, and only for pages of the server itself.
func TestSessionCookie(t *testing.T) {
	s := newSecured(t, inClear, func(o *web.Options) { o.TrustedProxy = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	s.person("ann")
	body := fmt.Sprintf(`{"user":"ann","password":%q,"cookie":true}`, password)
	s.want(400, "POST", "/v1/auth/login", body)
	r := s.want(200, "POST", "/v1/auth/login", body, "X-Forwarded-Proto", "https")
	line := r.header.Get("Set-Cookie")
	pair, attributes, _ := strings.Cut(line, "; ")
	if r.field("token") != nil || !strings.HasPrefix(pair, "__Host-keywatch=kws_") || !strings.HasPrefix(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=") {
		t.Fatalf("got %s with Set-Cookie %q", r.body, line)
	}
	for _, c := range []struct {
		status  int
		headers []string
	}{
		{200, []string{"X-Forwarded-Proto", "https", "Sec-Fetch-Site", "same-origin"}},
		{200, []string{"X-Forwarded-Proto", "https", "Origin", "https://" + s.addr}},
		{401, []string{"X-Forwarded-Proto", "https"}},
		{401, []string{"X-Forwarded-Proto", "https", "Origin", "http://" + s.addr}},
		{401, []string{"X-Forwarded-Proto", "https", "Sec-Fetch-Site", "same-site"}},
		{401, []string{"X-Forwarded-Proto", "https", "Sec-Fetch-Site", "cross-site"}},
		{401, []string{"X-Forwarded-Proto", "https", "Sec-Fetch-Site", "none"}},
		{401, []string{"Sec-Fetch-Site", "same-origin"}},
		{400, []string{"X-Forwarded-Proto", "https", "Sec-Fetch-Site", "same-origin", "Cookie", pair}},
		{401, []string{"X-Forwarded-Proto", "https", "Sec-Fetch-Site", "same-origin", "Authorization", "Bearer x"}},
	} {
		if r := s.do("GET", "/v1/auth/whoami", "", append(c.headers, "Cookie", "a=b; "+pair)...); r.status != c.status {
			t.Errorf("%q: got %d %s, want %d", c.headers, r.status, r.body, c.status)
		}
	}
	own := []string{"X-Forwarded-Proto", "https", "Sec-Fetch-Site", "same-origin", "Cookie", pair}
	if r := s.want(204, "POST", "/v1/auth/logout", "", own...); !strings.Contains(r.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logout: got Set-Cookie %q", r.header.Get("Set-Cookie"))
	}
	s.want(401, "GET", "/v1/auth/whoami", "", own...)
}
