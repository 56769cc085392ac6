package browser_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// attack is what a page tries with the cookie of the browser that shows it, at the server %q. It
// becomes the names of what it has got hold of.
const attack = `(async base => {
	const got = []
	const batch = '{"ops":[{"op":"put","key":"stolen","value":"x"}]}'
	const tries = {
		fetch: () => fetch(base + '/v1/kv/secret', { credentials: 'include' }),
		list: () => fetch(base + '/v1/kv?prefix=', { credentials: 'include' }),
		opaque: () => fetch(base + '/v1/kv/secret', { credentials: 'include', mode: 'no-cors' }),
		post: () => fetch(base + '/v1/batch', { method: 'POST', credentials: 'include', mode: 'no-cors', body: batch }),
		put: () => fetch(base + '/v1/kv/stolen', { method: 'PUT', credentials: 'include', body: 'x' }),
	}
	for (const [name, run] of Object.entries(tries)) {
		try {
			if ((await (await run()).text()) !== '') got.push(name)
		} catch {}
	}
	await new Promise(done => {
		const es = new EventSource(base + '/v1/watch?prefix=', { withCredentials: true })
		es.onopen = () => { got.push('EventSource'); es.close(); done() }
		es.onerror = () => { es.close(); done() }
	})
	await new Promise(done => {
		const ws = new WebSocket(base.replace('http', 'ws') + '/v1/ws?key=secret')
		ws.onopen = () => { got.push('WebSocket'); ws.close() }
		ws.onclose = done
	})
	return got
})(%q)`

// forms has a page send forms to the server, and waits until they were answered.
const forms = `(async base => {
	for (const [path, type, name] of [
		['/v1/batch', 'text/plain', '{"ops":[{"op":"put","key":"stolen","value":"x"}],"more":"'],
		['/v1/kv/stolen', 'multipart/form-data', 'x'], ['/v1/auth/logout', 'application/x-www-form-urlencoded', 'all'],
	]) {
		await new Promise(done => {
			const frame = Object.assign(document.createElement('iframe'), { name: 'f' + Math.random() })
			const form = Object.assign(document.createElement('form'), { method: 'post', enctype: type, target: frame.name, action: base + path })
			form.append(Object.assign(document.createElement('input'), { name, value: '"}' }))
			document.body.append(frame, form)
			frame.onload = done
			form.submit()
		})
	}
})(%q)`

// trust has a tab accept every certificate.
func (p *tab) trust() {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
		return err
	}))
}

// A secured is a server over TLS with a user who may do everything with keys.
type secured struct {
	*server
	admin  string
	client *http.Client
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	s := newServer(t)
	s.stop()
	s.config.Auth, s.config.TLS.TLSSelfSigned = "on", true
	s.start()
	key, err := os.ReadFile(filepath.Join(s.config.Data, "first-admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	own := &secured{s, strings.TrimSpace(string(key)), &http.Client{Transport: transport}}
	own.want(201, "PUT", "/v1/auth/roles/ann", `{"grants":["read,watch,write:*"]}`)
	own.want(201, "POST", "/v1/auth/users", `{"name":"ann","roles":["ann"],"password":"a long enough password"}`)
	own.want(201, "PUT", "/v1/kv/secret", "42")
	return own
}

// want sends a request of the administrator.
func (s *secured) want(status int, method, path, body string) string {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.admin)
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		s.t.Fatalf("%s %s: got %s %s, %v, want %d", method, path, resp.Status, text, err, status)
	}
	return string(text)
}

// If this failed, a page of another site, or of another server on this machine, could read or change
// what the person may who looks at it.
func TestProofCrossSite(t *testing.T) {
	gate.Long(t)
	s := newSecured(t)
	own := newTab(t, nil)
	own.trust()
	own.run(chromedp.Navigate(s.url + "/"))
	login := `fetch('/v1/auth/login', { method: 'POST', body: JSON.stringify({ user: 'ann', password: 'a long enough password', cookie: true }) }).then(r => r.status)`
	if status := value[int](own, login); status != 200 {
		t.Fatalf("login: got %d", status)
	}
	all := []string{"fetch", "list", "opaque", "post", "put", "EventSource", "WebSocket"}
	if got := value[[]string](own, fmt.Sprintf(attack, s.url)); !slices.Equal(got, all) {
		t.Fatalf("the control: the server's own page has got %v, want %v", got, all)
	}
	s.want(200, "DELETE", "/v1/kv?prefix=stolen", "")

	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>another</title><body></body>")
	})
	neighbour, foreign := httptest.NewTLSServer(page), httptest.NewServer(page)
	t.Cleanup(neighbour.Close)
	t.Cleanup(foreign.Close)
	for name, url := range map[string]string{
		// Cookies do not know ports: the browser sends the server's to this one, and from its pages.
		"a neighbour over TLS": neighbour.URL, "a neighbour in clear text": foreign.URL,
		"another site": strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1),
	} {
		other := newTab(t, own)
		other.trust()
		other.run(chromedp.Navigate(url + "/"))
		if got := value[[]string](other, fmt.Sprintf(attack, s.url)); len(got) > 0 {
			t.Errorf("%s: got hold of %v", name, got)
		}
		other.eval(fmt.Sprintf(forms, s.url))
		s.want(404, "GET", "/v1/kv/stolen", "")
		other.run(chromedp.Navigate("about:blank"))
		other.mu.Lock()
		other.mu.problems = nil // each refusal is one
		other.mu.Unlock()
	}
	if status := value[int](own, `fetch('/v1/kv/secret').then(r => r.status)`); status != 200 {
		t.Errorf("the session has ended: got %d", status)
	}
}
