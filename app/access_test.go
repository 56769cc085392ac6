package app_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/app"
	"keywatch/auth"
)

// field returns a member of a JSON document.
func field(t *testing.T, doc, name string) string {
	t.Helper()
	var all map[string]any
	must(t, json.Unmarshal([]byte(doc), &all))
	text, _ := all[name].(string)
	return text
}

// secured is the configuration of a store in a folder whose callers have to prove who they are.
func secured(dir string) (c app.ServeConfig) {
	c.Data, c.Auth = dir, "on"
	return c
}

// firstKey returns the key of the first administrator.
func firstKey(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "first-admin.key"))
	must(t, err)
	return strings.TrimSpace(string(b))
}

// The first start must make an administrator whose key only the owner of the folder can read; later
// starts must not make another, and must not serve without authentication by mistake.
func TestFirstStart(t *testing.T) {
	dir := t.TempDir()
	s := serveAuth(t, secured(dir))
	root := firstKey(t, dir)
	for _, name := range []string{"first-admin.key", "auth.key"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, want mode 0600", name, info, err)
		}
	}
	if strings.Contains(s.log.String(), root) {
		t.Error("the log has the key")
	}
	s.want(401, "", "PUT", "/v1/kv/a", "1")
	s.want(201, root, "PUT", "/v1/kv/a", "1")
	s.want(200, "", "GET", "/healthz", "")
	must(t, s.stop())

	again := secured(dir)
	again.Auth = "" // auto
	s = serveAuth(t, again)
	if firstKey(t, dir) != root || !strings.Contains(s.log.String(), "first-admin.key") {
		t.Error("the second start made another key, or does not warn of the first")
	}
	s.want(401, "", "GET", "/v1/kv/a", "")
	s.want(200, root, "GET", "/v1/kv/a", "")
	must(t, s.stop())

	off := secured(dir)
	off.Auth = "off"
	if _, err := tryServe(t, off); err == nil || !strings.Contains(err.Error(), "--auth-forget") {
		t.Errorf("--auth=off: got %v, want a refusal that names --auth-forget", err)
	}

	lost := secured(dir)
	lost.AuthRecover = true
	s = serveAuth(t, lost)
	s.want(200, firstKey(t, dir), "GET", "/v1/kv/a", "")
	if firstKey(t, dir) == root {
		t.Error("--auth-recover made no new key")
	}
	must(t, s.stop())

	forget := secured(dir)
	forget.Auth, forget.AuthForget = "off", true
	s = serveAuth(t, forget)
	s.want(200, "", "GET", "/v1/kv/a", "")
	s.want(404, "", "GET", "/v1/auth/whoami", "")
	must(t, s.stop())
	off.Auth = ""
	s = serveAuth(t, off)
	s.want(200, "", "GET", "/v1/kv/a", "")
}

// A store whose sealing key is another, or missing, must not start, and must not get a new key.
func TestSealingKeyMustFit(t *testing.T) {
	dir := t.TempDir()
	must(t, serveAuth(t, secured(dir)).stop())
	file := filepath.Join(dir, "auth.key")
	key, err := os.ReadFile(file)
	must(t, err)
	must(t, os.Remove(file))
	if _, err := tryServe(t, secured(dir)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("without the key: got %v, want a refusal that names %s", err, file)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a new key was made beside old records")
	}
	must(t, os.WriteFile(file, []byte(auth.NewSealKey()), 0o600))
	if _, err := tryServe(t, secured(dir)); err == nil {
		t.Error("with another key: it started")
	}
	must(t, os.WriteFile(file, key, 0o644))
	must(t, os.Chmod(file, 0o644))
	if _, err := tryServe(t, secured(dir)); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("with a key that others may read: got %v", err)
	}
	must(t, os.Chmod(file, 0o600))
	s := serveAuth(t, secured(dir))
	s.want(404, firstKey(t, dir), "GET", "/v1/kv/a", "")
	must(t, s.stop())

	// A second key in the file takes the place of the first after a rotation.
	next := auth.NewSealKey()
	must(t, os.WriteFile(file, []byte(next+"\n"+string(key)), 0o600))
	s = serveAuth(t, secured(dir))
	s.want(200, firstKey(t, dir), "POST", "/v1/auth/rotate", `{"what":"master"}`)
	must(t, s.stop())
	must(t, os.WriteFile(file, []byte(next), 0o600))
	s = serveAuth(t, secured(dir))
	s.want(404, firstKey(t, dir), "GET", "/v1/kv/a", "")
	must(t, s.stop())
	must(t, os.WriteFile(file, key, 0o600))
	if _, err := tryServe(t, secured(dir)); err == nil {
		t.Error("with the key that was replaced: it started")
	}
}

// A store in memory takes its first key from who starts it.
func TestAdminKeyIsGiven(t *testing.T) {
	c := app.ServeConfig{}
	c.MemoryOnly, c.Auth = true, "on"
	if _, err := tryServe(t, c); err == nil || !strings.Contains(err.Error(), "admin-key-file") {
		t.Errorf("without a key: got %v", err)
	}
	c.AdminKey = "kwk_x"
	if _, err := tryServe(t, c); err == nil {
		t.Error("with a malformed key: it started")
	}
	c.AdminKey = auth.NewSecret(auth.Key)
	s := serveAuth(t, c)
	s.want(201, c.AdminKey, "PUT", "/v1/kv/a", "1")
	if text := s.want(200, c.AdminKey, "GET", "/v1/auth/whoami", ""); strings.Contains(text, "expires_ms") {
		t.Errorf("a key that was given: got %s, want it to be valid for ever", text)
	}
}

// An address that other machines reach must have authentication and TLS in front, or say that it has
// neither.
func TestListenBeyondThisMachineWithAuth(t *testing.T) {
	for _, c := range []struct {
		auth                string
		plaintext, insecure bool
		want                string
	}{
		{"auto", false, false, "--auth=on"}, {"auto", true, false, "--auth=on"}, {"on", false, false, "--plaintext"},
		{"on", true, false, ""}, {"auto", false, true, ""}, {"on", false, true, ""},
	} {
		config := app.ServeConfig{Listen: "192.0.2.1:7070", Plaintext: c.plaintext, Insecure: c.insecure}
		config.Data, config.Auth = t.TempDir(), c.auth
		err := config.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c, err, c.want)
		}
	}
}

// What was revoked must stay so over a restart; a backup brings users and keys back as they were, but
// no session or ticket.
func TestRestoreEndsSessions(t *testing.T) {
	dir := t.TempDir()
	s := serveAuth(t, secured(dir))
	root := firstKey(t, dir)
	s.want(201, root, "PUT", "/v1/auth/roles/viewer", `{"grants":["read,watch:a/"]}`)
	s.want(201, root, "POST", "/v1/auth/users", `{"name":"ann","roles":["viewer"],"password":"correct horse battery"}`)
	key := field(t, s.want(201, root, "POST", "/v1/auth/keys", `{"user":"ann","ttl":"none"}`), "key")
	late := field(t, s.want(201, root, "POST", "/v1/auth/keys", `{"user":"ann","ttl":"none"}`), "key")
	session := field(t, s.want(200, "", "POST", "/v1/auth/login", `{"user":"ann","password":"correct horse battery"}`), "token")
	ticket := field(t, s.want(201, session, "POST", "/v1/auth/tickets", `{"keys":["a/1"],"reuse":true}`), "ticket")
	backup := s.want(200, root, "GET", "/v1/admin/backup", "")
	s.want(204, root, "DELETE", "/v1/auth/keys/"+auth.HashOf(late).ID().String(), "")
	must(t, s.stop())

	s = serveAuth(t, secured(dir))
	s.want(404, key, "GET", "/v1/kv/a/1", "")
	s.want(401, late, "GET", "/v1/kv/a/1", "")
	s.want(404, session, "GET", "/v1/kv/a/1", "")
	must(t, s.stop())

	file, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	must(t, os.WriteFile(file, []byte(backup), 0o600))
	_, err := app.Restore(t.Context(), file, restored, app.RestoreOptions{})
	must(t, err)
	if _, err := tryServe(t, secured(restored)); err == nil {
		t.Error("a backup without the sealing key: it started")
	}
	sealing, err := os.ReadFile(filepath.Join(dir, "auth.key"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(restored, "auth.key"), sealing, 0o600))
	s = serveAuth(t, secured(restored))
	s.want(404, key, "GET", "/v1/kv/a/1", "")
	s.want(404, late, "GET", "/v1/kv/a/1", "") // it was good then
	s.want(401, session, "GET", "/v1/kv/a/1", "")
	s.want(401, "", "GET", "/v1/watch?key=a/1&ticket="+ticket, "")
	s.want(200, "", "POST", "/v1/auth/login", `{"user":"ann","password":"correct horse battery"}`)
	must(t, s.stop())

	without := filepath.Join(t.TempDir(), "without")
	done, err := app.Restore(t.Context(), file, without, app.RestoreOptions{RevokeKeys: true})
	must(t, err)
	if done.Users != 2 || done.Credentials != 0 || done.Revoked != 4 {
		t.Errorf("got %+v, want 2 users and 4 credentials that were revoked", done)
	}
	must(t, os.WriteFile(filepath.Join(without, "auth.key"), sealing, 0o600))
	for range 2 { // its first start, and one after a checkpoint
		s = serveAuth(t, secured(without))
		s.want(401, root, "GET", "/v1/kv/a/1", "")
		s.want(401, key, "GET", "/v1/kv/a/1", "")
		token := field(t, s.want(200, "", "POST", "/v1/auth/login", `{"user":"ann","password":"correct horse battery"}`), "token")
		s.want(404, token, "GET", "/v1/kv/a/1", "")
		must(t, s.stop())
	}
}

// Nothing that is secret may be in plain in a file, a backup, an event, a metric or a line of the log.
func TestNothingSecretInPlain(t *testing.T) {
	dir := t.TempDir()
	s := serveAuth(t, secured(dir))
	root := firstKey(t, dir)
	const password, metadata, control = "plain-pass-4711-word", "plain-metadata-4711", "plain-control-4711"
	s.want(201, root, "PUT", "/v1/kv/control", control)
	s.want(201, root, "PUT", "/v1/auth/roles/secretrole", `{"grants":["read,watch:a/"]}`)
	s.want(201, root, "POST", "/v1/auth/users", `{"name":"secretname","roles":["secretrole"],"password":"`+password+`","metadata":{"m":"`+metadata+`"}}`)
	made := s.want(201, root, "POST", "/v1/auth/keys", `{"user":"secretname","ttl":"1h","label":"secretlabel","metadata":"`+metadata+`"}`)
	session := field(t, s.want(200, "", "POST", "/v1/auth/login", `{"user":"secretname","password":"`+password+`"}`), "token")
	ticket := field(t, s.want(201, session, "POST", "/v1/auth/tickets", `{"keys":["a/1"]}`), "ticket")
	s.want(401, "", "POST", "/v1/auth/login", `{"user":"secretname","password":"`+password+`x"}`)
	s.want(401, "", "GET", "/v1/watch?key=a/1&ticket="+ticket+"x", "")
	s.want(400, root, "POST", "/v1/auth/users", `{"name":"x","password":"`+password+``)
	metrics := s.want(200, root, "GET", "/metrics", "") + s.want(200, root, "GET", "/v1/status", "")
	s.want(200, root, "POST", "/v1/admin/checkpoint", "")
	s.want(201, root, "POST", "/v1/auth/users", `{"name":"second","password":"`+password+`"}`) // in the log only
	backup := s.want(200, root, "GET", "/v1/admin/backup", "")
	must(t, s.stop())

	audited, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	must(t, err)
	for _, want := range []string{`"operation":"POST login"`, `"code":"unauthenticated"`, `"operation":"POST users","target":"secretname"`, `"name":"admin"`, `"GET backup"`} {
		if !strings.Contains(string(audited), want) {
			t.Errorf("the audit log has no %s:\n%s", want, audited)
		}
	}
	places := map[string]string{"the log": s.log.String(), "metrics": metrics, "the backup": backup}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".key") {
			return err
		}
		b, err := os.ReadFile(path)
		places[path] = string(b)
		return err
	}))
	secrets := []string{password, metadata, root, field(t, made, "key"), session, ticket, "secretlabel", "argon2id"}
	sealed, err := os.ReadFile(filepath.Join(dir, "auth.key"))
	must(t, err)
	secrets = append(secrets, strings.TrimSpace(string(sealed)))
	found := false
	for where, text := range places {
		found = found || strings.Contains(text, control)
		for _, secret := range secrets {
			for _, form := range []string{secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(text, form) {
					t.Errorf("%s has %.12q in plain", where, form)
				}
			}
		}
		if where != "the log" && !strings.HasSuffix(where, "audit.jsonl") && strings.Contains(text, "secretname") {
			t.Errorf("%s has the name of a user", where)
		}
	}
	if !found {
		t.Error("the value of a key is in no file: the search would find nothing")
	}
}

// A server that was started without authentication must not serve a store that has users since.
func TestUsersAppearMeanwhile(t *testing.T) {
	dir := t.TempDir()
	must(t, serveAuth(t, secured(dir)).stop())
	e, err := app.Open(t.Context(), app.Config{Data: dir})
	must(t, err)
	defer e.Close()
	if err := e.Ready(); err != nil {
		t.Errorf("auto: got %v, want it to be ready", err)
	}
}
