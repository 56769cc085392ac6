package web_test

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// If the page could be framed, or run what does not come from this server, a
// value or another site could act for its reader.
func TestPageHeaders(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/keywatch.js": "text/javascript; charset=utf-8",
		"/keywatch.d.ts": "text/plain; charset=utf-8", "/ui/app.js": "text/javascript; charset=utf-8", "/ui/style.css": "text/css; charset=utf-8",
	} {
		resp := w.do("GET", path, "")
		if resp.status != 200 || resp.header.Get("Content-Type") != want || resp.body == "" {
			t.Errorf("GET %s: %d %s, %d bytes", path, resp.status, resp.header.Get("Content-Type"), len(resp.body))
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
		} {
			if got := resp.header.Get(name); got != want {
				t.Errorf("GET %s: %s is %q, want %q", path, name, got, want)
			}
		}
		tag := resp.header.Get("ETag")
		for held, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200} {
			if got := w.do("GET", path, "", "If-None-Match", held); got.status != want || want == 304 && got.body != "" {
				t.Errorf("GET %s with If-None-Match %s: %d, want %d", path, held, got.status, want)
			}
		}
		if head := w.do("HEAD", path, ""); head.status != 200 || head.header.Get("ETag") != tag {
			t.Errorf("HEAD %s: %d", path, head.status)
		}
	}
}

// A browser must get a file compressed where it says that it accepts that, under a
// tag of its own; one that does not say so must not.
func TestPageIsCompressed(t *testing.T) {
	w := newWorld(t)
	plain := w.want(200, "GET", "/ui/app.js", "")
	tag := plain.header.Get("ETag")
	for accept, want := range map[string]string{
		"gzip": "gzip", "br, GZIP;q=0.5": "gzip", "*": "gzip", "*;q=0, gzip;q=1": "gzip",
		"": "", "br": "", "gzip;q=0": "", "gzip; q=0.000, *": "", "gzip;q=x": "", "identity": "",
	} {
		r := w.want(200, "GET", "/ui/app.js", "", "Accept-Encoding", accept)
		body := r.body
		if want != "" {
			in, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatalf("%q: %v", accept, err)
			}
			b, err := io.ReadAll(in)
			if err != nil {
				t.Fatalf("%q: %v", accept, err)
			}
			body = string(b)
		}
		if r.header.Get("Content-Encoding") != want || body != plain.body || !strings.Contains(r.header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("%q: %v, want Content-Encoding %q", accept, r.header, want)
		}
		if got := r.header.Get("ETag"); (got == tag) != (want == "") {
			t.Errorf("%q: tag %s, without coding %s", accept, got, tag)
		}
		w.want(304, "GET", "/ui/app.js", "", "Accept-Encoding", accept, "If-None-Match", r.header.Get("ETag"))
	}
}

// If anything else answered there, a typing error would look like a page.
func TestPageRefusals(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		status             int
		code, method, path string
		headers            []string
	}{
		{404, "no_route", "GET", "/ui/", nil}, {404, "no_route", "GET", "/ui/../web.go", nil}, {404, "no_route", "GET", "/index.html", nil}, {404, "no_route", "GET", "/UI/app.js", nil},
		{405, "method_not_allowed", "POST", "/", nil}, {405, "method_not_allowed", "PUT", "/keywatch.js", nil}, {400, "bad_parameter", "GET", "/?x=1", nil},
		{421, "host_not_allowed", "GET", "/", []string{"Host", "elsewhere.example"}},
	} {
		w.refused(c.status, c.code, c.method, c.path, "", c.headers...)
	}
}
