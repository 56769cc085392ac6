package web_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"keywatch/kv"
	"keywatch/web"
)

// newOps starts an Ops and returns what gets a path from it, as a client that calls it host.
func newOps(t *testing.T) (ops *web.Ops, get func(path, host string) (status int, body string)) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	ops, err := web.NewOps(web.OpsOptions{Registry: registry, AllowHost: []string{".ops.example"}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- ops.Serve(ln) }()
	t.Cleanup(func() {
		if err := ops.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != web.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return ops, func(path, host string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+ln.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

// An orchestrator that asks while the log is applied must hear that the process lives and is
// not ready; afterwards it must hear what the server itself says.
func TestOpsFollowsTheServer(t *testing.T) {
	ops, get := newOps(t)
	want := func(path string, status int, part string) {
		t.Helper()
		if got, body := get(path, "pod"); got != status || !strings.Contains(body, part) {
			t.Errorf("%s: got %d %q, want %d %q", path, got, body, status, part)
		}
	}
	want("/healthz", 200, "ok")
	want("/readyz", 503, `"starting"`)
	want("/metrics", 200, "go_goroutines ")
	var state error
	leads := false
	w := newWorld(t, func(o *web.Options) {
		o.Ready = func() error { return state }
		o.Leader = func() bool { return leads }
	})
	ops.Attach(w.server)
	want("/readyz", 200, "ready")
	want("/readyz?leader=1", 503, `"no_leader"`)
	w.refused(503, "no_leader", "GET", "/readyz?leader=1", "")
	w.refused(400, "bad_parameter", "GET", "/readyz?lead=1", "")
	leads = true
	want("/readyz?leader=1", 200, "ready")
	w.want(200, "GET", "/readyz?leader=1", "")
	want("/readyz?leader=x", 400, `"bad_parameter"`)
	state = kv.ErrNoLeader
	want("/readyz", 503, `"no_leader"`)
	want("/healthz", 200, "ok")
	want("/v1/kv/a", 404, `"no_route"`)
}

// A page in a browser that reaches the listener by a name of its own must not read profiles;
// an operator and a scraper must.
func TestOpsProfiles(t *testing.T) {
	_, get := newOps(t)
	for host, status := range map[string]int{
		"127.0.0.1:7071": 200, "localhost": 200, "10.0.0.7": 200, "a.ops.example": 200, "evil.example": 421,
	} {
		if got, body := get("/debug/pprof/goroutine?debug=1", host); got != status || status == 200 != strings.Contains(body, "goroutine profile: ") {
			t.Errorf("%s: got %d %.80q, want %d", host, got, body, status)
		}
	}
	if status, body := get("/debug/pprof/cmdline", "localhost"); status != 404 || strings.Contains(body, "test") {
		t.Errorf("the command line: got %d %q", status, body)
	}
	if status, body := get("/debug/pprof/", "localhost"); status != 200 || !strings.Contains(body, "heap") {
		t.Errorf("the list of profiles: got %d %.80q", status, body)
	}
}
