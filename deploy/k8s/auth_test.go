package k8s_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/deploy/try"
)

// If pods that ask who their callers are could not read their keys, or were not found ready because
// probes have no credential, or could not read each other's users, a team could not have them.
func TestPodsWithAuthentication(t *testing.T) {
	t.Parallel()
	n := newNode(t, "team")
	n.start()
	for _, p := range n.pods {
		p.awaitStarted()
	}
	key := filepath.Join(n.secret("auth"), "admin.key")
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(string(text))
	for _, p := range n.pods { // the leader makes the administrator once it leads
		p.put401(t)
		try.Until(t, func() bool { status, _ := p.ask("/v1/auth/whoami", secret); return status == http.StatusOK }, "%s knows the administrator", p.name)
	}
	n.pods[0].exec("--token-file=/etc/keywatch-auth/admin.key", "put", "a", "1")
	checkProbesOf(t, n)

	// All lose power: the users are in the log, sealed, and the key of the first administrator, which is
	// read once, is gone from the Secret.
	for _, p := range n.pods {
		p.kill("KILL")
	}
	for _, p := range n.pods {
		p.container.Wait()
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	for _, p := range n.pods {
		p.run()
	}
	for _, p := range n.pods {
		p.awaitStarted()
		p.put401(t)
		try.Until(t, func() bool { status, body := p.ask("/v1/kv/a", secret); return status == http.StatusOK && body == "1" }, "%s has the key for the administrator", p.name)
	}
}

// put401 fails t unless a caller without a credential is refused: with 503 while the server starts, then
// with 401.
func (p *pod) put401(t *testing.T) {
	t.Helper()
	try.Until(t, func() bool {
		status := p.put("k")
		if status != http.StatusServiceUnavailable && status != http.StatusUnauthorized {
			t.Errorf("%s: without a credential: %d", p.name, status)
		}
		return status != http.StatusServiceUnavailable
	}, "%s asks for a credential", p.name)
}

// ask sends a GET with a credential.
func (p *pod) ask(path, secret string) (status int, body string) {
	return p.send(http.MethodGet, "http://"+p.address()+":7070"+path, "", "", "Bearer "+secret)
}

// checkProbesOf fails t if a pod is not found ready and alive.
func checkProbesOf(t *testing.T, n *node) {
	for _, p := range n.pods {
		if ready, alive := p.probe(n.app.container().ReadinessProbe), p.probe(n.app.container().LivenessProbe); ready != http.StatusOK || alive != http.StatusOK {
			t.Errorf("%s: readiness %d, liveness %d", p.name, ready, alive)
		}
		p.exec("ready")
	}
}
