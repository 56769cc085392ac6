package web_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/ratelimit"
	"keywatch/web"
)

// redis serves clients of Redis, and returns what says a line to it on one connection.
func (s *secured) redis() (say func(line string) string) { return s.redisBy(nil) }

// redisBy is redis over TLS, unless config is nil.
func (s *secured) redisBy(config *tls.Config) (say func(line string) string) {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.server.ServeRESP(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	s.t.Cleanup(func() {
		_ = conn.Close()
		_ = ln.Close()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	r := bufio.NewReader(conn)
	return func(line string) string {
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
			s.t.Fatal(err)
		}
		reply, err := r.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		return strings.TrimSuffix(reply, "\r\n")
	}
}

// If this failed, passwords could be tried without a limit by the protocol of Redis, or a revocation
// would not end its connections.
func TestRedisLoginsAreLimited(t *testing.T) {
	s := newSecured(t, func(o *web.Options) {
		o.LoginRate = web.LoginRate{Address: ratelimit.Rate{PerSecond: 0.001, Burst: 3}, Name: ratelimit.Rate{PerSecond: 0.001, Burst: 30}}
	})
	s.user("ann", "read:a")
	good := "a long enough password"
	if _, err := s.registry.SetUser(context.Background(), s.admin.By(), "ann", auth.UserSpec{Password: &good}, auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	say := s.redis()
	if got := say(fmt.Sprintf("AUTH ann %q", good)); got != "+OK" {
		t.Fatalf("got %s", got)
	}
	for range 3 {
		if got := say("AUTH ann wrong"); !strings.HasPrefix(got, "-WRONGPASS") {
			t.Errorf("got %s", got)
		}
	}
	hashed := s.registry.Passwords.Hashed()
	if got := say("AUTH ann wrong"); !strings.HasPrefix(got, "-ERR too_many_logins") {
		t.Errorf("after 3 that failed: got %s", got)
	}
	if r := s.do("POST", "/v1/auth/login", `{"user":"bob","password":"also a long password"}`); r.status != 429 {
		t.Errorf("a login over HTTP: got %d %s, want 429", r.status, r.body)
	}
	if n := s.registry.Passwords.Hashed(); n != hashed {
		t.Errorf("%d passwords were hashed beyond the limit", n-hashed)
	}
	if got := say("GET a"); got != "$-1" {
		t.Errorf("who is logged in: got %s", got)
	}
}
