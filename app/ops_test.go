package app_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"keywatch/app"
)

// An operator must get metrics and profiles apart from the clients' listener, and both must
// name the program that runs.
func TestOpsListen(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	addrs := make(chan net.Addr, 2)
	config := app.ServeConfig{
		Config: app.Config{MemoryOnly: true, Version: "v9.8.7"}, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0",
		OpsStarted: func(a net.Addr) { addrs <- a },
	}
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, config, func(a net.Addr) { addrs <- a }) }()
	ops, public := (<-addrs).String(), (<-addrs).String()
	for _, c := range []struct {
		url, part string
		status    int
	}{
		{ops + "/metrics", `keywatch_build_info{goversion="go1.`, 200},
		{public + "/metrics", `version="v9.8.7"} 1`, 200},
		{ops + "/metrics", "keywatch_keys 0", 200},
		{ops + "/healthz", "ok", 200},
		{ops + "/readyz?leader=1", "ready", 200},
		{ops + "/debug/pprof/heap?debug=1", "heap profile: ", 200},
		{public + "/debug/pprof/heap?debug=1", "no_route", 404},
	} {
		resp, err := http.Get("http://" + c.url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.part) {
			t.Errorf("%s: got %d, %v; want %d with %q", c.url, resp.StatusCode, err, c.status, c.part)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ops); err == nil {
		t.Error("the operator's listener is still there")
	}
}

// A second address that cannot be used must be said before the store is opened.
func TestOpsListenRefused(t *testing.T) {
	config := app.ServeConfig{Config: app.Config{MemoryOnly: true}, Listen: "127.0.0.1:0", OpsListen: "x"}
	if err := config.Validate(); err == nil || !strings.HasPrefix(err.Error(), "ops-listen: ") {
		t.Errorf("got %v", err)
	}
	config.OpsListen = "127.0.0.1:99999"
	if err := app.Serve(t.Context(), config, nil); err == nil || !strings.HasPrefix(err.Error(), "ops-listen: ") {
		t.Errorf("got %v", err)
	}
}
