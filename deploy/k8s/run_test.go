package k8s_test

import (
	"net/http"
	"strings"
	"testing"
)

// If what a StatefulSet says did not run, as the user and with the rights, the variables and
// the volume that it says, it would be found out on the day of the first roll-out.
func TestPodServes(t *testing.T) {
	for _, overlay := range []string{"dev", "single"} {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, overlay)
			n.start()
			p := n.pods[0]
			p.awaitStarted()
			for what, probe := range map[string]int{"readiness": p.probe(n.app.container().ReadinessProbe), "liveness": p.probe(n.app.container().LivenessProbe)} {
				if probe != http.StatusOK {
					t.Errorf("%s: %d", what, probe)
				}
			}
			p.exec("ready")
			p.exec("put", "a", "1")
			checkNames(t, p)
			if len(n.app.set.Spec.VolumeClaimTemplates) > 0 {
				p.killed(t)
			}
			p.stopped(t)
		})
	}
}

// checkNames fails t if the server does not answer to a name that a service has, or to
// another.
func checkNames(t *testing.T, p *pod) {
	url := "http://" + p.address() + ":7070/v1/kv/a"
	for _, host := range []string{
		"keywatch", "keywatch.prod", "keywatch.prod.svc", "keywatch.prod.svc.cluster.local",
		"keywatch-0.keywatch-peers.prod.svc", "keywatch-0.keywatch-peers.prod.svc.cluster.local",
	} {
		if status, body := p.do(http.MethodGet, url, host+":7070", ""); status != http.StatusOK || body != "1" {
			t.Errorf("Host %s: %d %s", host, status, body)
		}
	}
	for _, host := range []string{"evil.example", "keywatch.other.svc"} {
		if status, _ := p.do(http.MethodGet, url, host+":7070", ""); status != http.StatusMisdirectedRequest {
			t.Errorf("Host %s: %d", host, status)
		}
	}
}

// killed kills the container as the kernel does where memory runs out, and starts it again
// on its volume: what was acknowledged is there.
func (p *pod) killed(t *testing.T) {
	p.kill("KILL")
	p.container.Wait()
	p.run()
	p.awaitStarted()
	if got := strings.TrimSpace(p.exec("get", "a")); got != "1" {
		t.Errorf("after a kill: %q", got)
	}
}

// stopped sends what a kubelet sends. The pod says that it is not ready, and serves until it
// has drained; then it exits with 0.
func (p *pod) stopped(t *testing.T) {
	p.kill("TERM")
	for p.probe(p.node.app.container().ReadinessProbe) == http.StatusOK {
		if t.Context().Err() != nil {
			t.Fatal("never: it is not ready while it stops")
		}
	}
	if status, body := p.do(http.MethodGet, "http://"+p.address()+":7070/v1/kv/a", "", ""); status != http.StatusOK {
		t.Errorf("while it drains: %d %s", status, body)
	}
	if code := p.container.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
