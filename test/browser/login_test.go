package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// as sends a request with a credential, which must succeed.
func (s *server) as(secret, method, path string, body any) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(string(text)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// settles waits for an expression to be true, of a page that may be loaded again.
func (p *tab) settles(expression string) {
	p.t.Helper()
	gate.Until(p.t, func() bool {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && ok
	}, "never true: %s", expression)
}

// logIn fills the form in and sends it.
func (p *tab) logIn(user, password string) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`void (document.getElementById('login-user').value = %q, document.getElementById('login-password').value = %q,
		setTimeout(() => document.querySelector('#login form').requestSubmit()))`, user, password))
}

// If this failed, people could not use the dashboard of a server that asks who they are, would be
// offered what is refused, or would leave their session to the next person.
func TestLogin(t *testing.T) {
	s := newServer(t)
	s.stop()
	s.config.Auth = "on"
	s.start()
	key, err := os.ReadFile(filepath.Join(s.config.Data, "first-admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	admin := strings.TrimSpace(string(key))
	s.as(admin, "PUT", "/v1/auth/roles/ann", map[string]any{"grants": []string{"read,watch:sensors/", "write:sensors/{user}/"}})
	s.as(admin, "POST", "/v1/auth/users", map[string]any{"name": "ann", "roles": []string{"ann"}, "password": "a long enough password"})
	for _, name := range []string{"sensors/1", "sensors/ann/1", "secret"} {
		s.as(admin, "PUT", "/v1/kv/"+name, "x")
	}
	p := newTab(t, nil)
	p.run(chromedp.Navigate(s.url + "/"))
	p.settles(`document.querySelector('#login[open]')`)
	p.logIn("ann", "a wrong password")
	p.settles(`document.querySelector('#login .bad').textContent.includes('not accepted')`)
	p.logIn("ann", "a long enough password")
	p.settles(`document.getElementById('who')?.textContent === 'ann' && !document.getElementById('logout').hidden`)
	p.settles(`document.getElementById('rows').textContent.includes('sensors')`)
	if got := value[string](p, `document.body.innerText`); strings.Contains(got, "secret") {
		t.Errorf("the page shows what its user may not see: %s", got)
	}
	if !value[bool](p, `document.getElementById('figures').hidden && document.getElementById('figures-toggle').hidden && !document.getElementById('create').hidden`) {
		t.Error("figures are offered, or new keys are not")
	}
	for name, want := range map[string]bool{"sensors/1": false, "sensors/ann/1": true} {
		p.eval(fmt.Sprintf(`void (location.hash = %q)`, "#"+url.PathEscape(name)))
		p.settles(fmt.Sprintf(`document.querySelector('#detail .whole')?.textContent.includes('x') && document.querySelector('#detail .last').textContent === '1' && document.querySelector('#detail .folder').textContent + '1' === %q`, name))
		if got := value[bool](p, `Boolean(document.getElementById('edit'))`); got != want {
			t.Errorf("%s: the button to edit it is there: %v, want %v", name, got, want)
		}
	}
	p.eval(`void setTimeout(() => document.getElementById('logout').click())`)
	p.settles(`document.querySelector('#login[open]') && document.getElementById('who').hidden`)
	p.logIn("", admin)
	p.settles(`document.getElementById('who')?.textContent === 'admin'`)
	p.settles(`document.getElementById('rows').textContent.includes('secret') && !document.getElementById('figures').hidden`)
}
