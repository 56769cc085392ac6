package web_test

import (
	"strings"
	"testing"

	"keywatch/web"
)

// If this failed, clients and proxies that write a target as RFC 9112 allows would be refused.
func TestTargets(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.AllowHost = []string{"kw.example."} })
	w.want(201, "PUT", "/v1/kv/a", "1")
	for _, c := range []struct{ target, host, status, want string }{
		{"OPTIONS *", "localhost", "204", "Allow: GET, HEAD, PUT, POST, DELETE, OPTIONS\r\n"},
		{"OPTIONS http://localhost", "localhost", "204", "Allow: GET, HEAD, PUT, POST, DELETE, OPTIONS\r\n"},
		{"OPTIONS http://localhost/", "localhost", "204", "Allow: GET, HEAD, OPTIONS\r\n"},
		{"OPTIONS /*", "localhost", "404", "no_route"},
		{"OPTIONS *", "evil.example", "421", "host_not_allowed"},
		{"GET http://localhost", "localhost", "200", "<!doctype html>"},
		{"GET http://localhost:7070", "localhost:7070", "200", "<!doctype html>"},
		{"GET http://localhost?x=1", "localhost", "400", `unknown parameter \"x\"`},
		{"GET http://localhost#x", "localhost", "400", "fragment"},
		{"GET http://localhost/v1/kv/a", "LOCALHOST", "200", "ETag"},
		{"GET http://localhost/v1/kv/a", "127.0.0.1", "421", "another host"},
		{"GET http://evil.example", "localhost", "421", "another host"},
		{"GET http://evil.example/v1/kv/a?http://localhost", "localhost", "421", "another host"},
		{"CONNECT localhost:80", "localhost", "400", "neither a path nor an address"},
		{"GET /v1/kv/a", "localhost.", "200", "ETag"},
		{"GET /v1/kv/a", "Localhost.:7070", "200", "ETag"},
		{"GET /v1/kv/a", "kw.example", "200", "ETag"},
		{"GET /v1/kv/a", "kw.example.", "200", "ETag"},
		{"GET /v1/kv/a", "127.0.0.1.", "200", "ETag"},
		{"GET /v1/kv/a", "localhost..", "421", "host_not_allowed"},
		{"GET /v1/kv/a", ".", "421", "host_not_allowed"},
		{"GET /v1/kv/a", "evil.example.", "421", "host_not_allowed"},
	} {
		got := w.raw(c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.status+" ") || !strings.Contains(got, c.want) {
			t.Errorf("%s, Host %s: got %q, want %s with %q", c.target, c.host, got, c.status, c.want)
		}
	}
}

// If this failed, an answer without a body would claim that it is an error in JSON.
func TestNoTypeWithoutBody(t *testing.T) {
	w := newWorld(t)
	tag := w.want(201, "PUT", "/v1/kv/a", "1").header.Get("ETag")
	page := w.want(200, "GET", "/keywatch.js", "").header.Get("ETag")
	for name, r := range map[string]reply{
		"OPTIONS":  w.want(204, "OPTIONS", "/v1/kv/a", ""),
		"GET":      w.want(304, "GET", "/v1/kv/a", "", "If-None-Match", tag),
		"the page": w.want(304, "GET", "/keywatch.js", "", "If-None-Match", page),
		"DELETE":   w.want(204, "DELETE", "/v1/kv/a", ""),
	} {
		if got, has := r.header["Content-Type"]; has {
			t.Errorf("%s: Content-Type is %q, want none", name, got)
		}
	}
}
