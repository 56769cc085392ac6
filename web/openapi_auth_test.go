package web_test

import (
	"fmt"
	"strings"
	"testing"

	"keywatch/web"
)

// If this fails, clients that are generated from the description of users, roles and credentials do
// something else than the server does.
func TestAccessDescription(t *testing.T) {
	s := newSecured(t)
	d := newDescriber(t, s.world)
	root := as(s.secret)
	check := func(valid bool, status int, method, path, body string) {
		t.Helper()
		d.check(valid, status, method, path, body, root...)
	}
	check(true, 201, "PUT", "/v1/auth/roles/viewer", `{"grants":["read,watch:a/",{"verbs":["read"],"prefix":"b"}]}`)
	check(true, 200, "PUT", "/v1/auth/roles/viewer", `{"grants":["read,watch:a/"]}`)
	check(true, 200, "GET", "/v1/auth/roles/viewer", "")
	check(true, 200, "GET", "/v1/auth/roles", "")
	check(true, 201, "POST", "/v1/auth/users", `{"name":"ann","roles":["viewer"],"password":"correct horse battery","metadata":{"a":[1]}}`)
	check(true, 409, "POST", "/v1/auth/users", `{"name":"ann"}`)
	check(true, 200, "GET", "/v1/auth/users/ann", "")
	check(true, 404, "GET", "/v1/auth/users/none", "")
	check(true, 200, "PUT", "/v1/auth/users/ann", `{"disabled":false}`)
	check(true, 200, "GET", "/v1/auth/users?limit=1", "")
	check(true, 201, "POST", "/v1/auth/keys", `{"user":"ann","ttl":"1h","label":"x","grants":["read:a/"],"metadata":7}`)
	check(true, 200, "GET", "/v1/auth/keys?user=ann", "")
	id := s.want(200, "GET", "/v1/auth/keys?user=ann", "", root...).field("keys").([]any)[0].(map[string]any)["id"].(string)
	check(true, 200, "GET", "/v1/auth/keys/"+id, "")
	check(true, 204, "DELETE", "/v1/auth/keys/"+id, "")
	check(true, 200, "GET", "/v1/auth/whoami", "")
	check(true, 200, "GET", "/v1/auth/whoami?can=lease", "")
	check(true, 201, "POST", "/v1/auth/tickets", `{"keys":["a"],"prefixes":["b/"],"reuse":true,"ttl":"1h","origin":"https://a.example"}`)
	check(true, 200, "POST", "/v1/auth/rotate", `{"what":"data"}`)
	check(true, 400, "POST", "/v1/auth/renew", "")
	d.check(true, 401, "POST", "/v1/auth/login", `{"user":"ann","password":"x"}`)
	d.check(true, 200, "POST", "/v1/auth/login", fmt.Sprintf(`{"user":"ann","password":%q}`, password))
	session := as(s.logIn("ann"))
	d.check(true, 200, "POST", "/v1/auth/renew", "", session...)
	d.check(true, 204, "PUT", "/v1/auth/password", fmt.Sprintf(`{"old":%q,"new":"another password"}`, password), session...)
	check(true, 200, "GET", "/v1/auth/sessions", "")
	list := s.want(200, "GET", "/v1/auth/sessions", "", root...).field("sessions").([]any)
	check(true, 404, "DELETE", "/v1/auth/sessions/"+id, "")
	d.check(true, 204, "POST", "/v1/auth/logout", `{"all":false}`, session...)
	if len(list) == 0 {
		t.Error("there is no session")
	}
	check(true, 204, "DELETE", "/v1/auth/users/ann", "")
	check(true, 204, "DELETE", "/v1/auth/roles/viewer", "")
	d.complete(isAccess)
}

// What the description says requires no credential must be what requires none.
func TestDescriptionSaysWhatIsOpen(t *testing.T) {
	s := newSecured(t)
	d := newDescriber(t, s.world)
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			open := op.Security != nil && len(*op.Security) == 0
			route := web.RouteOf(strings.NewReplacer("{", "", "}", "").Replace(path))
			if needsNone := web.NeedsNothing(route); open != needsNone {
				t.Errorf("%s %s: described as open: %v; the server asks for nothing: %v", method, path, open, needsNone)
			}
		}
	}
}
