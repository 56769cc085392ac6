package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// behind puts a proxy before s that has it below path, and names the Host that
// the browser named or the server's own. It returns the address of the dashboard
// there, without a slash at its end.
func behind(t *testing.T, s *server, path string, keepsHost bool) string {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, path)
		r.Out.URL.RawPath = strings.TrimPrefix(r.In.URL.RawPath, path)
		r.SetURL(target)
		if keepsHost {
			r.Out.Host = r.In.Host
		}
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, path+"/") {
			http.NotFound(w, r)
			return
		}
		defer func() { _ = recover() }() // a client that left ends a stream this way
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	return front.URL + path
}

// If the page named anything by an absolute path, it would be blank, or blind, or
// write elsewhere, where a proxy has the server below a path.
func TestDashboardBelowAPath(t *testing.T) {
	s := newServer(t)
	p := newTab(t, nil)
	front := behind(t, s, "/tools/kw", true)
	p.visit(front + "/")
	p.until(`document.querySelector('#connection').title.includes('WebSocket')`)
	p.until(`document.querySelector('#empty').textContent.includes('` + front + `/v1/kv/')`)
	p.until(`[...document.querySelectorAll('.tile strong')].some(e => /[0-9]/.test(e.textContent))`)
	p.click("#create")
	p.retype("#new-key", "a/b")
	p.retype("#new-value", "one")
	p.click("dialog button[value=create]")
	p.until(row("a/b") + ` && document.querySelector('#detail .whole')?.textContent === 'one'`)
	p.click("#edit")
	p.retype("#value", "two")
	p.click("#save")
	p.until(`document.querySelector('#detail .whole')?.textContent === 'two' && location.pathname === '/tools/kw/'`)
	if got := s.state("")["a/b"]; got != "two" {
		t.Errorf("a/b is %q", got)
	}
	s.wait("keywatch_sockets", 1)
	own := `import('/tools/kw/keywatch.js').then(m => new m.Keywatch({ url: '/tools/kw/' }).get('a/b')).then(e => e.value)`
	if got := value[string](p, own); got != "two" {
		t.Errorf("a page of one's own reads %q", got)
	}
	p.clean()
}

// If a page behind a proxy that changes Host were blank, an operator would not know what to do.
// It says so, and works once its origin is allowed.
func TestProofDashboardWhereHostIsRewritten(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("a", "1")
	front := behind(t, s, "/kw", false)
	origin := strings.TrimSuffix(front, "/kw")
	p := newTab(t, nil)
	p.run(chromedp.Navigate(front + "/"))
	p.until(`document.querySelector('#phase')?.textContent === 'Stopped'`)
	p.until(`document.querySelector('#notice').textContent.includes('--allow-origin ` + origin + `')`)
	s.stop()
	s.config.AllowOrigin = []string{origin}
	s.start()
	p.point(button("Try again"))
	p.until(row("a") + ` && document.querySelector('#phase').textContent === 'Live'`)
	p.eval(`void (location.hash = 'a')`)
	p.reload()
	p.until(row("a") + ` && document.querySelector('#detail .whole')?.textContent === '1' && document.querySelector('#notice').hidden`)
	p.until(`document.querySelector('#connection').title.includes('WebSocket')`)
	p.edit("a")
	p.press("2")
	p.click("#save")
	p.saved()
	if got := string(s.stored("a").value); got != "12" {
		t.Errorf("a is %q", got)
	}
}
