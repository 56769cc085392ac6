package e2e_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"keywatch/test/gate"
)

// An operator is who asks a server with a credential.
type operator struct {
	*testing.T
	url, secret string
}

// ask returns the status of an answer and a member of its body; 0 if there was none.
func (o *operator) ask(secret, method, path, body, member string) (status int, value string) {
	req, err := http.NewRequest(method, o.url+path, strings.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	var doc map[string]any
	_ = json.Unmarshal(b, &doc)
	value, _ = doc[member].(string)
	return resp.StatusCode, value
}

// made sends a request that must be answered with 201.
func (o *operator) made(method, path, body, member string) string {
	o.Helper()
	status, value := o.ask(o.secret, method, path, body, member)
	if status != 201 {
		o.Fatalf("%s %s: got %d", method, path, status)
	}
	return value
}

// What was revoked, and answered, must stay so over a kill, also where writes are not fsynced before they are
// answered; what was not revoked must stay good.
func TestProofRevocationSurvivesKill(t *testing.T) {
	gate.Long(t)
	for _, policy := range []string{"always", "interval"} {
		t.Run(policy, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"--data=" + dir, "--auth=on", "--fsync=" + policy, "--fsync-interval=10s"}
			s := serve(t, args...)
			key, err := os.ReadFile(filepath.Join(dir, "first-admin.key"))
			if err != nil {
				t.Fatal(err)
			}
			o := &operator{t, s.url, strings.TrimSpace(string(key))}
			o.made("PUT", "/v1/auth/roles/reader", `{"grants":["read:a/"]}`, "name")
			o.made("POST", "/v1/auth/users", `{"name":"ann","roles":["reader"]}`, "name")
			random := rand.New(rand.NewPCG(gate.Seed(t), 0))
			for range 5 {
				var secrets, ids []string
				for range 40 {
					var secret string
					status, id := 0, ""
					req := `{"user":"ann","ttl":"1h"}`
					if status, secret = o.ask(o.secret, "POST", "/v1/auth/keys", req, "key"); status != 201 {
						t.Fatalf("add a key: got %d", status)
					}
					if _, id = o.ask(secret, "GET", "/v1/auth/whoami", "", "credential"); id == "" {
						t.Fatal("a new key is not good")
					}
					secrets, ids = append(secrets, secret), append(ids, id)
				}
				var revoked atomic.Int64
				done := make(chan struct{})
				go func() {
					defer close(done)
					for _, id := range ids[:len(ids)-1] {
						if status, _ := o.ask(o.secret, "DELETE", "/v1/auth/keys/"+id, "", ""); status != 204 {
							return
						}
						revoked.Add(1)
					}
				}()
				at := 1 + random.IntN(20)
				gate.Until(t, func() bool { return revoked.Load() >= int64(at) }, "no key is revoked")
				_ = s.cmd.Process.Kill()
				<-done
				<-s.exited
				s = serve(t, args...)
				o.url = s.url
				n := int(revoked.Load())
				for i, secret := range secrets {
					status, _ := o.ask(secret, "GET", "/v1/kv/a/1", "", "")
					if i < n && status != 401 || i > n && status != 404 {
						t.Errorf("key %d, of which %d were revoked: got %d", i, n, status)
					}
				}
			}
		})
	}
}
