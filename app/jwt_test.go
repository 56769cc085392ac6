package app_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
)

// An issuer signs tokens with a shared secret.
type issuer struct {
	kid, secret string
}

func base64url(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// key returns the secret as a key of a set.
func (i issuer) key() string {
	return fmt.Sprintf(`{"kty":"oct","kid":%q,"alg":"HS256","k":%q}`, i.kid, base64url(i.secret))
}

// token returns a token for an hour.
func (i issuer) token(t *testing.T, name string, roles ...string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{"iss": "idp", "aud": "kv", "sub": name, "roles": roles, "exp": time.Now().Add(time.Hour).Unix()})
	must(t, err)
	text := base64url(fmt.Sprintf(`{"alg":"HS256","kid":%q}`, i.kid)) + "." + base64url(string(claims))
	m := hmac.New(sha256.New, []byte(i.secret))
	m.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

var issuerA, issuerB = issuer{"a", strings.Repeat("a secret", 4)}, issuer{"b", strings.Repeat("b secret", 4)}

// If this failed, tokens would not be accepted by a server with the flags, would outlive their key, or would be
// written down.
func TestJWT(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "keys.json")
	must(t, os.WriteFile(file, []byte(`{"keys":[`+issuerA.key()+`,`+issuerB.key()+`]}`), 0o600))
	updates := make(chan app.ServeConfig)
	c := secured(dir)
	c.JWT = app.JWTConfig{JWTKeys: file, JWTIssuer: "idp", JWTAudience: "kv"}
	c.Updates, c.AuditWrites = updates, true
	s := serveAuth(t, c)
	root := firstKey(t, dir)
	s.want(201, root, "PUT", "/v1/auth/roles/reader", `{"grants":["read,watch:a/","write:a/{user}/"]}`)
	ann, bob := issuerA.token(t, "ann", "reader"), issuerB.token(t, "bob", "reader")
	if who := s.want(200, ann, "GET", "/v1/auth/whoami", ""); field(t, who, "kind") != "jwt" || field(t, who, "user") != "ann" {
		t.Errorf("whoami: got %s", who)
	}
	s.want(201, ann, "PUT", "/v1/kv/a/ann/1", "v")
	s.want(403, ann, "PUT", "/v1/kv/a/bob/1", "v")
	s.want(403, ann, "POST", "/v1/auth/keys", `{"user":"admin","ttl":"1h"}`)
	s.want(401, issuerA.token(t, "admin", "admin"), "GET", "/v1/auth/users", "")
	s.want(401, issuer{"a", issuerB.secret}.token(t, "ann", "reader"), "GET", "/v1/kv/a/ann/1", "")

	req, err := http.NewRequest("GET", s.url+"/v1/watch?key=a/ann/1", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+ann)
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() {
		t.Fatal("the stream tells nothing")
	}
	must(t, os.WriteFile(file, []byte(`{"keys":[`+issuerB.key()+`]}`), 0o600))
	updates <- c // as SIGHUP does
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if !strings.Contains(last, `"denied"`) || !strings.Contains(last, `"revoked"`) {
		t.Errorf("after its key was removed the stream ended with %q", last)
	}
	s.want(401, ann, "GET", "/v1/kv/a/ann/1", "")
	s.want(200, bob, "GET", "/v1/kv/a/ann/1", "")
	metrics := s.want(200, root, "GET", "/metrics", "") + s.want(200, root, "GET", "/v1/status", "")
	for _, line := range []string{"keywatch_jwt_keys 1", "keywatch_jwt_keys_failing 0", `keywatch_jwt_keys_reads_total{result="good"}`, "keywatch_jwt_keys_age_seconds", `keywatch_jwt_verifications_total{result="wrong"} 1`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	must(t, s.stop())
	places := map[string]string{"the log": s.log.String(), "metrics": metrics}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		places[path] = string(b)
		return err
	}))
	if audited := places[filepath.Join(dir, "audit.jsonl")]; !strings.Contains(audited, `"user":"u-jwt-`) || !strings.Contains(audited, `"name":"ann"`) {
		t.Errorf("the audit log does not name the caller:\n%s", audited)
	}
	for where, text := range places {
		for _, token := range []string{ann, bob} {
			for part := range strings.SplitSeq(token, ".") {
				if len(part) > 30 && strings.Contains(text, part) {
					t.Errorf("%s has a part of a token", where)
				}
			}
		}
		if strings.Contains(text, issuerA.secret) || strings.Contains(text, base64url(issuerA.secret)) {
			t.Errorf("%s has the secret of the issuer", where)
		}
	}
	must(t, os.WriteFile(file, []byte("broken"), 0o600))
	c.Updates = nil
	if _, err := tryServe(t, c); err == nil || !strings.Contains(err.Error(), "jwt-keys") {
		t.Errorf("with a broken file: got %v, want a refusal that names jwt-keys", err)
	}
}

// If this failed, a server would not start while its identity provider is away, would drop clients' tokens then, or
// would not ask it.
func TestJWTFromURL(t *testing.T) {
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`) // of RFC 8037
	}))
	defer idp.Close()
	c := app.ServeConfig{}
	c.MemoryOnly, c.Auth, c.AdminKey = true, "on", app.NewAPIKey()
	c.JWT = app.JWTConfig{JWTKeys: idp.URL, JWTIssuer: "idp", JWTAudience: "kv"}
	s := serveAuth(t, c)
	if metrics := s.want(200, c.AdminKey, "GET", "/metrics", ""); !strings.Contains(metrics, "keywatch_jwt_keys 1") {
		t.Error("the keys were not read from the URL")
	}
	s.want(401, issuerA.token(t, "ann"), "GET", "/v1/kv/a", "")
	must(t, s.stop())
	idp.Close()
	s = serveAuth(t, c)
	if text := s.want(503, issuerA.token(t, "ann"), "GET", "/v1/kv/a", ""); field(t, text, "code") != "starting" {
		t.Errorf("without keys: got %s, want starting", text)
	}
	s.want(404, c.AdminKey, "GET", "/v1/kv/a", "")
}

// If this failed, a server would accept tokens of anyone's keys, of any issuer, or for any service.
func TestJWTFlags(t *testing.T) {
	whole := app.JWTConfig{JWTKeys: "f", JWTIssuer: "i", JWTAudience: "a"}
	for want, change := range map[string]func(*app.JWTConfig){
		"":                                          func(*app.JWTConfig) {},
		"jwt-issuer: required":                      func(c *app.JWTConfig) { c.JWTIssuer = "" },
		"jwt-audience: required":                    func(c *app.JWTConfig) { c.JWTAudience = "" },
		"jwt-keys: expected a file":                 func(c *app.JWTConfig) { c.JWTKeys = "http://idp.example/keys" },
		"jwt-keys: required with --jwt-issuer":      func(c *app.JWTConfig) { *c = app.JWTConfig{JWTIssuer: "i"} },
		"jwt-keys: required with --jwt-audience":    func(c *app.JWTConfig) { *c = app.JWTConfig{JWTAudience: "a"} },
		"jwt-keys: required with --jwt-user-claim":  func(c *app.JWTConfig) { *c = app.JWTConfig{JWTUserClaim: "email"} },
		"jwt-keys: required with --jwt-roles-claim": func(c *app.JWTConfig) { *c = app.JWTConfig{JWTRolesClaim: "scope"} },
	} {
		c := secured(t.TempDir())
		c.JWT = whole
		change(&c.JWT)
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
