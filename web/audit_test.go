package web_test

import (
	"errors"
	"strings"
	"testing"

	"keywatch/auth/audit"
	"keywatch/test/gate"
	"keywatch/web"
)

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// While it cannot be written down, users and credentials must not be changed; nothing else is refused.
func TestNoChangeWithoutAudit(t *testing.T) {
	log := audit.New(failingWriter{})
	defer log.Close()
	s := newSecured(t, func(o *web.Options) { o.Audit = log })
	s.want(201, "POST", "/v1/auth/users", `{"name":"ann"}`, as(s.secret)...)
	gate.Until(t, func() bool { return log.Err() != nil }, "the log does not fail")
	s.refused(503, "disk_full", "POST", "/v1/auth/users", `{"name":"bob"}`, as(s.secret)...)
	s.want(200, "GET", "/v1/auth/users", "", as(s.secret)...)
	s.want(201, "PUT", "/v1/kv/a", "1", as(s.secret)...)
	metrics := s.want(200, "GET", "/metrics", "", as(s.secret)...).body
	if !strings.Contains(metrics, "keywatch_audit_failing 1") {
		t.Error("the metrics do not say that the audit log fails")
	}
}

// What callers try must be counted by how it ends.
func TestAuthMetrics(t *testing.T) {
	s := newSecured(t)
	s.person("ann", "read,watch:a/")
	s.want(401, "GET", "/v1/kv/a/1", "")
	s.want(401, "GET", "/v1/kv/a/1", "", as("x")...)
	token := as(s.logIn("ann"))
	s.want(403, "PUT", "/v1/kv/a/1", "x", token...)
	s.want(403, "PUT", "/v1/kv/a/1", "x", token...)
	s.want(403, "GET", "/v1/status", "", token...)
	s.want(401, "POST", "/v1/auth/login", `{"user":"ann","password":"wrong password"}`)
	metrics := s.want(200, "GET", "/metrics", "", as(s.secret)...).body
	for _, want := range []string{
		`keywatch_auth_requests_total{result="anonymous"} 1`, `keywatch_auth_requests_total{result="malformed"} 1`, `keywatch_auth_requests_total{result="session"} 3`,
		`keywatch_auth_denied_total{verb="write"} 2`, `keywatch_auth_denied_total{verb="metrics"} 1`,
		`keywatch_auth_logins_total{result="accepted"} 1`, `keywatch_auth_logins_total{result="wrong"} 1`, `keywatch_auth_records{kind="users"} 2`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics have no %s", want)
		}
	}
}
