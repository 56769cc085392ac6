package web_test

import (
	"strings"
	"testing"
)

// If this failed, a client that guesses a path, or whose proxy changes it, would get a bare 404.
func TestNearestRoute(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"/status": "/v1/status", "/v1/status/": "/v1/status", "/v1/stat": "/v1/status", "/V1/STATUS": "/v1/status", "/api/v1/status": "/v1/status",
		"/health": "/healthz", "/healthz/": "/healthz", "/v1/health": "/healthz", "/livez": "/healthz", "/ready": "/readyz", "/v1/metrics": "/metrics",
		"/kv/a": "/v1/kv/a", "/v1/keys/a": "/v1/kv/a", "/v1/key/a/b": "/v1/kv/a/b", "/v2/kv/a%20b": "/v1/kv/a%20b", "/kv": "/v1/kv", "/keys": "/v1/kv",
		"//v1/kv/a": "/v1/kv/a", "/v1//kv/a": "/v1/kv/a", "/kw/v1/kv/a": "/v1/kv/a", "/V1/KV/a": "/v1/kv/a",
		"/cas/a": "/v1/cas/a", "/v1/cas": "/v1/cas/{name}", "/batch": "/v1/batch", "/v1/bach": "/v1/batch",
		"/watch": "/v1/watch", "/v1/wach": "/v1/watch", "/events": "/v1/watch", "/v1/watch/a/b": "/v1/watch?key=a/b", "/ws": "/v1/ws", "/websocket": "/v1/ws",
		"/v1/lease": "/v1/leases", "/leases/l-1": "/v1/leases/l-1", "/v1/lock/deploy": "/v1/locks/deploy", "/v1/locks": "/v1/locks/{name}",
		"/openapi.json": "/v1/openapi.yaml", "/v1/backup": "/v1/admin/backup", "/index.html": "/", "/keywatch.mjs": "/keywatch.js",
	} {
		r := w.refused(404, "no_route", "GET", path, "")
		if text, _ := r.field("detail").(string); !strings.HasSuffix(text, `; did you mean "`+want+`"?`) {
			t.Errorf("%s: got %s, want a hint at %s", path, r.body, want)
		}
	}
	for _, path := range []string{"/v1", "/nothing", "/v1/nothing/at/all", "/favicon.ico", "/v1/locks/a/b", "/v1/admin/migrate", "/x"} {
		r := w.refused(404, "no_route", "GET", path, "")
		if text, _ := r.field("detail").(string); !strings.HasSuffix(text, "; see /v1/openapi.yaml") {
			t.Errorf("%s: got %s, want no guess", path, r.body)
		}
	}
}

// If this failed, a client that asks for a folder would learn that its key is bad, and not how
// the keys below it are listed.
func TestNearestOfPrefix(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"/v1/kv/sensors/":        `bad key "sensors/": it ends with a slash; list or watch a prefix with ?prefix=sensors/`,
		"/v1/watch?key=sensors/": `bad key "sensors/": it ends with a slash; list or watch a prefix with ?prefix=sensors/`,
		"/v1/kv/sensors//":       `bad key "sensors//": it ends with a slash`,
		"/v1/kv/a//b":            `bad key "a//b": a segment between slashes is empty`,
		"/v1/kv?prefix=a//":      `bad key "a//": a segment between slashes is empty`,
	} {
		r := w.refused(400, "bad_key", "GET", path, "")
		if got, _ := r.field("detail").(string); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
