package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"keywatch/auth"
)

func TestUsersOverHTTP(t *testing.T) {
	s := newSecured(t)
	root := as(s.secret)
	made := s.want(201, "POST", "/v1/auth/users", `{"name":"Ann","roles":["editor"],"password":"correct horse battery","metadata":{"mail":"ann@example.org"}}`, root...)
	if made.field("name") != "ann" || made.field("password") != true || made.header.Get("ETag") == "" {
		t.Errorf("made: got %s", made.body)
	}
	if strings.Contains(made.body, "horse") || strings.Contains(made.body, "argon2id") {
		t.Errorf("the answer has the password, or its hash: %s", made.body)
	}
	s.want(409, "POST", "/v1/auth/users", `{"name":"ann"}`, root...)
	s.want(201, "POST", "/v1/auth/users", `{"name":"bob"}`, root...)
	page := s.want(200, "GET", "/v1/auth/users?limit=2", "", root...)
	if page.field("next") != "ann" {
		t.Errorf("first page: got %s", page.body)
	}
	if page := s.want(200, "GET", "/v1/auth/users?limit=2&after=ann", "", root...); page.field("next") != nil || !strings.Contains(page.body, `"bob"`) {
		t.Errorf("second page: got %s", page.body)
	}
	tag := made.header.Get("ETag")
	changed := s.want(200, "PUT", "/v1/auth/users/ann", `{"disabled":true}`, append(root, "If-Match", tag)...)
	if changed.field("disabled") != true || !strings.Contains(changed.body, "ann@example.org") {
		t.Errorf("changed: got %s", changed.body)
	}
	s.want(412, "PUT", "/v1/auth/users/ann", `{"disabled":false}`, append(root, "If-Match", tag)...)
	s.want(412, "DELETE", "/v1/auth/users/ann", "", append(root, "If-Match", tag)...)
	s.want(401, "POST", "/v1/auth/login", `{"user":"ann","password":"correct horse battery"}`)
	s.want(409, "DELETE", "/v1/auth/users/admin", "", root...)
	s.want(409, "PUT", "/v1/auth/users/admin", `{"disabled":true}`, root...)
	s.want(204, "DELETE", "/v1/auth/users/ann", "", root...)
	s.want(404, "GET", "/v1/auth/users/ann", "", root...)
	for body, status := range map[string]int{
		`{"name":"a/b"}`: 400, `{"name":"x","password":"short"}`: 400, `{"name":"x","password_hash":"$1$abc"}`: 400, `{}`: 400, `[]`: 400, `{"name":"x"} 1`: 400,
		`{"name":"x","nope":1}`: 400, `{"name":7}`: 400, `{"name":"x","metadata":"` + strings.Repeat("m", 9<<10) + `"}`: 400, strings.Repeat(" ", 70<<10): 413,
	} {
		s.want(status, "POST", "/v1/auth/users", body, root...)
	}
	if r := s.want(400, "POST", "/v1/auth/users", `{"name":"x","password":12345678}`, root...); strings.Contains(r.body, "12345678") {
		t.Errorf("the answer quotes the password: %s", r.body)
	}
}

func TestRolesOverHTTP(t *testing.T) {
	s := newSecured(t)
	root := as(s.secret)
	first := s.want(201, "PUT", "/v1/auth/roles/Viewer", `{"grants":["read,watch:sensors/",{"verbs":["read"],"key":"odd*"}]}`, root...)
	if got := s.want(200, "GET", "/v1/auth/roles/viewer", "", root...); got.body != first.body || got.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("got %s %s, want %s %s", got.body, got.header.Get("ETag"), first.body, first.header.Get("ETag"))
	}
	s.want(200, "PUT", "/v1/auth/roles/viewer", `{"grants":["read:*"]}`, append(root, "If-Match", first.header.Get("ETag"))...)
	s.want(412, "PUT", "/v1/auth/roles/viewer", `{"grants":[]}`, append(root, "If-Match", first.header.Get("ETag"))...)
	s.want(409, "PUT", "/v1/auth/roles/admin", `{"grants":[]}`, root...)
	if list := s.want(200, "GET", "/v1/auth/roles", "", root...); !strings.Contains(list.body, `"viewer"`) || !strings.Contains(list.body, `"admin"`) {
		t.Errorf("list: got %s", list.body)
	}
	s.want(204, "DELETE", "/v1/auth/roles/viewer", "", root...)
	s.want(404, "DELETE", "/v1/auth/roles/viewer", "", root...)
	for _, body := range []string{`{}`, `{"grants":["eat:a"]}`, `{"grants":["read"]}`, `{"grants":["lease:a"]}`, `{"grants":"read:*"}`} {
		s.want(400, "PUT", "/v1/auth/roles/x", body, root...)
	}
}

func TestKeysOverHTTP(t *testing.T) {
	s := newSecured(t)
	root := as(s.secret)
	s.person("ann", "read,write:a/", "read:b")
	made := s.want(201, "POST", "/v1/auth/keys", `{"user":"ann","ttl":"720h","label":"ci","grants":["read:a/"],"metadata":{"ticket":7}}`, root...)
	secret, _ := made.field("key").(string)
	id, _ := made.field("id").(string)
	s.want(404, "GET", "/v1/kv/a/1", "", as(secret)...)
	s.want(403, "GET", "/v1/kv/b", "", as(secret)...)
	s.want(403, "PUT", "/v1/kv/a/1", "x", as(secret)...)
	for _, path := range []string{"/v1/auth/keys/" + id, "/v1/auth/keys?user=ann", "/v1/auth/keys"} {
		if r := s.want(200, "GET", path, "", root...); !strings.Contains(r.body, id) || strings.Contains(r.body, secret) {
			t.Errorf("%s: got %s, want the key without its secret", path, r.body)
		}
	}
	// A key of a user sees itself; it makes and sees no other.
	s.want(200, "GET", "/v1/auth/keys/"+id, "", as(secret)...)
	s.want(403, "GET", "/v1/auth/keys", "", as(secret)...)
	s.want(403, "POST", "/v1/auth/keys", `{"user":"ann","ttl":"1h"}`, as(secret)...)
	other := auth.HashOf(s.secret).ID().String()
	s.want(404, "GET", "/v1/auth/keys/"+other, "", as(secret)...)
	s.want(404, "DELETE", "/v1/auth/keys/"+other, "", as(secret)...)

	session := as(s.logIn("ann"))
	own := s.want(201, "POST", "/v1/auth/keys", `{"user":"ann","ttl":"none"}`, session...)
	s.want(403, "POST", "/v1/auth/keys", `{"user":"admin","ttl":"1h"}`, session...)
	if list := s.want(200, "GET", "/v1/auth/keys", "", session...); strings.Contains(list.body, other) || !strings.Contains(list.body, id) {
		t.Errorf("own keys: got %s", list.body)
	}
	s.want(403, "GET", "/v1/auth/keys?user=admin", "", session...)
	s.want(404, "DELETE", "/v1/auth/keys/"+other, "", session...)
	s.want(204, "DELETE", "/v1/auth/keys/"+own.field("id").(string), "", session...)
	s.want(404, "DELETE", "/v1/auth/sessions/"+id, "", session...)

	list := s.want(200, "GET", "/v1/auth/sessions?user=ann", "", root...)
	sessions := list.field("sessions").([]any)
	if len(sessions) != 1 {
		t.Fatalf("sessions: got %s", list.body)
	}
	s.want(204, "DELETE", "/v1/auth/sessions/"+sessions[0].(map[string]any)["id"].(string), "", root...)
	s.want(401, "GET", "/v1/auth/whoami", "", session...)

	s.want(204, "DELETE", "/v1/auth/keys/"+id, "", root...)
	s.want(401, "GET", "/v1/kv/a/1", "", as(secret)...)
	s.want(404, "DELETE", "/v1/auth/keys/"+id, "", root...)

	// A key whose secret the server never sees can be asked for again.
	mine := auth.NewSecret(auth.Key)
	sum := sha256.Sum256([]byte(mine))
	body := `{"user":"ann","ttl":"1h","hash":"` + hex.EncodeToString(sum[:]) + `"}`
	for range 2 {
		if r := s.want(201, "POST", "/v1/auth/keys", body, root...); r.field("key") != nil {
			t.Errorf("got %s, want no secret", r.body)
		}
	}
	s.want(404, "GET", "/v1/kv/a/1", "", as(mine)...)
	for body, status := range map[string]int{
		`{"user":"ann"}`: 400, `{"ttl":"1h"}`: 400, `{"user":"ann","ttl":"x"}`: 400, `{"user":"ann","ttl":"1h","hash":"ab"}`: 400, `{"user":"nobody","ttl":"1h"}`: 404,
		`{"user":"ann","ttl":"1h","label":"` + strings.Repeat("l", 300) + `"}`: 400,
	} {
		s.want(status, "POST", "/v1/auth/keys", body, root...)
	}
}

// After a rotation everything that was sealed can still be read, and nothing is sealed with the old
// data key.
func TestRotateOverHTTP(t *testing.T) {
	s := newSecured(t)
	ann := s.user("ann", "read:a/")
	for _, what := range []string{"tickets", "master", "data", "data"} {
		s.want(200, "POST", "/v1/auth/rotate", `{"what":"`+what+`"}`, as(s.secret)...)
		s.want(404, "GET", "/v1/kv/a/1", "", as(ann)...)
	}
	old, all := 0, 0
	for r := range s.state.PrivateRecords() {
		switch all++; {
		case r.Name == "dek/1" || r.Name == "dek/2":
			t.Errorf("data key %s is still there", r.Name)
		case strings.HasPrefix(r.Name, "dek/"):
		case r.Value[1] != 3:
			old++
		}
	}
	if old > 0 || all < 8 {
		t.Errorf("%d of %d records are sealed with an old data key", old, all)
	}
	s.want(201, "POST", "/v1/auth/users", `{"name":"bob"}`, as(s.secret)...)
	s.want(400, "POST", "/v1/auth/rotate", `{"what":"x"}`, as(s.secret)...)
	if err := s.table.Err(); err != nil {
		t.Error(err)
	}
}

// Without accounts there are no routes for them.
func TestNoAccounts(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"login", "whoami", "users", "users/x", "keys", "keys/x", "roles", "sessions", "tickets", "rotate"} {
		w.refused(404, "no_route", "GET", "/v1/auth/"+path, "")
	}
}
