package web_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

// What is denied must be written down, whatever the protocol, and a login too.
func TestEveryProtocolIsAudited(t *testing.T) {
	var out bytes.Buffer
	log := audit.New(&out)
	s := newSecured(t, func(o *web.Options) { o.Audit = log })
	s.person("ann", "read:a")
	ann, say := s.user("bob", "read:a"), s.redis()
	for _, command := range []string{`"op":"put","key":"b","value":"x"`, `"op":"lock","lock":"l","ttl":"10s"`} {
		if got := s.statusOn(ann, command); got != 403 {
			t.Errorf("%s: got %d", command, got)
		}
	}
	if got := s.statusOn("", `"op":"get","key":"a"`); got != 401 {
		t.Errorf("no credential: got %d", got)
	}
	for _, c := range [][2]string{
		{"GET a", "-NOAUTH"}, {"AUTH ann wrong", "-WRONGPASS"}, {"AUTH bob " + ann, "+OK"},
		{"SET b x", "-NOPERM"}, {"DBSIZE", "-NOPERM"}, {"KW.LOCK l 1000", "-NOPERM"},
	} {
		if got := say(c[0]); !strings.HasPrefix(got, c[1]) {
			t.Errorf("%s: got %s, want %s", c[0], got, c[1])
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(e.Operation, "RESP") || strings.HasPrefix(e.Operation, "WebSocket") {
			got = append(got, fmt.Sprint(e.Operation, " ", e.Target, " ", e.Status, " ", e.Name, " ", e.Need))
		}
		if e.Address != "127.0.0.1" && e.Operation != "start" {
			t.Errorf("%s: got the address %q", e.Operation, e.Address)
		}
	}
	want := []string{
		"WebSocket put b 403 bob write:b", "WebSocket lock l 403 bob lock:l", "WebSocket get a 401  ",
		"RESP GET  401  ", "RESP AUTH  401 ann ", "RESP SET  403 bob write:b", "RESP DBSIZE  403 bob read:*", "RESP KW.LOCK  403 bob lock:l",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
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
