package web_test

import (
	"net/netip"
	"strings"
	"testing"

	"keywatch/web"
)

type optionsOf = web.Options

// trustLoopback makes the tests' own address a proxy that is trusted.
func trustLoopback(o *web.Options) {
	o.TrustedProxy = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
}

// A name that an attacker controls can be made to resolve to 127.0.0.1; then
// his page's requests have a matching Origin and Host, and only the Host itself
// gives them away.
func TestHost(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		o.Listen = []string{"127.0.0.1:7070", "kv.example:7070"}
		o.AllowHost = []string{"Also.Example"}
	})
	for _, host := range []string{
		"localhost", "localhost:7070", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:7070", "127.3.2.1", "[::1]:7070", "[::1]",
		"10.0.0.1", "192.168.1.5:7070", "[::2]", "kv.example", "kv.example:9", "also.example", "ALSO.example:80", "kv.example.", "localhost.:7070", "[::ffff:127.0.0.1]:80",
	} {
		w.want(201, "PUT", "/v1/kv/h/"+strings.Map(keyRune, host), "1", "Host", host)
	}
	for _, host := range []string{
		"evil.example", "evil.example:7070", "localhost.evil.example", "127.0.0.1.evil.example",
		"kv.example..", "2130706433", "0.0.0.0", "[::]", "0x7f.1", "127.1", "10.0.0.1.evil.example:80",
	} {
		r := w.refused(421, "host_not_allowed", "PUT", "/v1/kv/evil", "1", "Host", host, "Origin", "http://"+host)
		if r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: the answer can be read across origins", host)
		}
		w.refused(421, "host_not_allowed", "GET", "/v1/status", "", "Host", host)
		for _, probe := range []string{"/healthz", "/readyz", "/metrics"} {
			w.want(200, "GET", probe, "", "Host", host)
			w.refused(403, "origin_not_allowed", "GET", probe, "", "Host", host, "Origin", "http://other.example")
		}
	}
}

func keyRune(r rune) rune {
	if r == ':' || r == '[' || r == ']' {
		return '-'
	}
	return r
}

// Load balancers ask by HTTP/1.0 and name no host; of HTTP/1.1 that is an error.
func TestProbesWithoutHost(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if got := w.raw("GET " + path + " HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("%s by HTTP/1.0 without Host: got %.60q, want 200", path, got)
		}
		if got := w.raw("GET " + path + " HTTP/1.1\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s by HTTP/1.1 without Host: got %.60q, want 400", path, got)
		}
	}
	if got := w.raw("GET /v1/status HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 421 ") {
		t.Errorf("/v1/status without Host: got %.60q, want 421", got)
	}
}

// Operators write patterns as other servers know them. One that is accepted must match.
func TestAllowPatterns(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		o.AllowHost = []string{"*.example.com", ".svc.Cluster.local"}
		o.AllowOrigin = []string{"http://*.Example.com", "https://*.example.com:8443"}
	})
	for _, host := range []string{"kw.example.com", "A.B.example.com:7070", "kw.ns.svc.cluster.local"} {
		w.want(200, "GET", "/v1/status", "", "Host", host)
	}
	for _, host := range []string{"example.com", ".example.com", "example.com.evil", "kwexample.com", "svc.cluster.local"} {
		w.refused(421, "host_not_allowed", "GET", "/v1/status", "", "Host", host)
	}
	for _, origin := range []string{"http://kw.example.com", "HTTP://a.b.EXAMPLE.com", "https://kw.example.com:8443"} {
		w.want(200, "GET", "/v1/status", "", "Origin", origin)
	}
	for _, origin := range []string{"http://example.com", "https://kw.example.com", "http://kw.example.com:8443", "http://evil/.example.com.evil", "http://.example.com"} {
		w.refused(403, "origin_not_allowed", "GET", "/v1/status", "", "Origin", origin)
	}
	all := newWorld(t, func(o *web.Options) { o.AllowHost, o.AllowOrigin = []string{"*"}, []string{"*"} })
	all.want(200, "GET", "/v1/status", "", "Host", "any.example", "Origin", "https://other.example")
}

// A page on the web can send requests to a local server; unless its origin is
// allowed they must change nothing and show nothing.
func TestOrigin(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.AllowOrigin = []string{"https://app.example:8443"} })
	for _, origin := range []string{w.base, "https://" + w.addr, "https://app.example:8443", "HTTPS://APP.example:8443"} {
		r := w.do("PUT", "/v1/kv/a", "1", "Origin", origin)
		if r.status > 201 || r.header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("%s: got %d %v", origin, r.status, r.header)
		}
		if got := r.header.Get("Access-Control-Allow-Credentials"); got != "true" {
			t.Errorf("%s: a page that sends credentials is told %q, want true", origin, got)
		}
		if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("%s: the ETag is not exposed", origin)
		}
	}
	for _, origin := range []string{
		"http://evil.example", "null", "", "https://app.example", "http://app.example:8443", "https://app.example:8443.evil.example",
		"http://localhost:5173", w.base + "/", w.base + ".evil.example",
	} {
		for _, method := range []string{"PUT", "GET", "OPTIONS"} {
			r := w.refused(403, "origin_not_allowed", method, "/v1/kv/a", "", "Origin", origin)
			if r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: the answer can be read across origins", origin)
			}
		}
	}
	w.refused(403, "origin_not_allowed", "GET", "/v1/kv/a", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors")
	w.want(200, "GET", "/v1/kv/a", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
	// A stream is refused alike: an EventSource must give up here.
	w.refused(403, "origin_not_allowed", "GET", "/v1/watch?key=a", "", "Origin", "http://evil.example", "Accept", "text/event-stream")
}

// Behind a proxy that changes Host the dashboard's own scripts carry an Origin
// that is not the server's; were they refused, the page would be blank. No page of
// another origin may read them, and nothing but files is given that way.
func TestFilesForEveryOrigin(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/ui/app.js", "/ui/style.css", "/keywatch.js"} {
		for _, method := range []string{"GET", "HEAD"} {
			r := w.want(200, method, path, "", "Origin", "http://kw.example.com")
			if r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s can be read across origins", method, path)
			}
		}
		w.refused(403, "origin_not_allowed", "OPTIONS", path, "", "Origin", "http://kw.example.com")
		w.refused(403, "origin_not_allowed", "POST", path, "", "Origin", "http://kw.example.com")
		w.refused(403, "origin_not_allowed", "GET", path, "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors")
		w.refused(421, "host_not_allowed", "GET", path, "", "Host", "kw.example.com", "Origin", "http://kw.example.com")
	}
	for _, path := range []string{"/v1/status", "/v1/openapi.yaml", "/healthz", "/metrics", "/ui/", "/ui/none.js"} {
		w.refused(403, "origin_not_allowed", "GET", path, "", "Origin", "http://kw.example.com")
	}
}

// Without a proper preflight a page that is allowed still cannot use conditions.
func TestPreflight(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.AllowOrigin = []string{"https://app.example"} })
	r := w.want(204, "OPTIONS", "/v1/kv/a", "", "Origin", "https://app.example",
		"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "if-match", "Access-Control-Request-Private-Network", "true")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":          "https://app.example",
		"Access-Control-Allow-Methods":         "GET, HEAD, PUT, DELETE, OPTIONS",
		"Access-Control-Allow-Private-Network": "true",
		"Access-Control-Allow-Credentials":     "true",
		"Access-Control-Max-Age":               "600",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"If-Match", "If-None-Match", "If-Fence", "Idempotency-Key", "Authorization", "Content-Type", "Cache-Control", "Last-Event-ID", "X-Requested-With"} {
		if !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not admitted", name)
		}
	}
	w.refused(404, "no_route", "OPTIONS", "/v1/nothing", "", "Origin", "https://app.example", "Access-Control-Request-Method", "PUT")
}

// An option that cannot mean what it says must be found at start.
func TestBadOptions(t *testing.T) {
	log, hub := newStore(t, params())
	for _, change := range []func(*web.Options){
		func(o *web.Options) { o.Store = nil },
		func(o *web.Options) { o.Hub = nil },
		func(o *web.Options) { o.AllowOrigin = []string{"app.example"} },
		func(o *web.Options) { o.AllowOrigin = []string{"https://app.example/"} },
		func(o *web.Options) { o.AllowOrigin = []string{"*.example.com"} },
		func(o *web.Options) { o.AllowOrigin = []string{"https://a*.example.com"} },
		func(o *web.Options) { o.AllowOrigin = []string{"https://*"} },
		func(o *web.Options) { o.AllowHost = []string{"http://a"} },
		func(o *web.Options) { o.AllowHost = []string{""} },
		func(o *web.Options) { o.AllowHost = []string{"a.*"} },
		func(o *web.Options) { o.AllowHost = []string{"a*.example.com"} },
		func(o *web.Options) { o.AllowHost = []string{"*example.com"} },
		func(o *web.Options) { o.AllowHost = []string{"a.example:7070"} },
		func(o *web.Options) { o.Listen = []string{"localhost"} },
		func(o *web.Options) { o.Durability = "paper" },
		func(o *web.Options) { o.MaxBody = -1 },
		func(o *web.Options) { o.ReadTimeout = -1 },
	} {
		opts := web.Options{Store: storeOf(log), Hub: hub}
		change(&opts)
		if s, err := web.New(opts); err == nil {
			t.Errorf("options were taken: %+v", opts)
			_ = s.Shutdown(t.Context())
		}
	}
}
