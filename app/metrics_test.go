package app_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"keywatch/app"
	"keywatch/test/gate"
)

// scraped runs a server on disk, has it do a little of everything that is timed, and returns what
// a scrape shows.
func scraped(t *testing.T) []byte {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	addrs := make(chan net.Addr, 1)
	config := app.ServeConfig{Config: app.Config{Data: t.TempDir(), Version: "v1.2.3"}, Listen: "127.0.0.1:0"}
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, config, func(a net.Addr) { addrs <- a }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	url := "http://" + (<-addrs).String()
	do := func(method, path string) []byte {
		r, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader("1"))
		if err != nil {
			t.Fatal(err)
		}
		if method == "POST" {
			r.Body, r.ContentLength = nil, 0
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, body, err)
		}
		return body
	}
	do("PUT", "/v1/kv/a")
	do("GET", "/v1/kv/a")
	do("POST", "/v1/admin/checkpoint")
	return do("GET", "/metrics")
}

// Prometheus takes metrics that promtool finds fault with, but their users stumble over them.
func TestMetricsPassPromtool(t *testing.T) {
	cmd := exec.Command(gate.Program(t, "promtool"), "check", "metrics")
	cmd.Stdin = bytes.NewReader(scraped(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// Without these an operator can neither draw nor be woken by a latency.
func TestHistograms(t *testing.T) {
	body := scraped(t)
	for _, name := range []string{
		`keywatch_http_request_duration_seconds_count{method="PUT",route="key"} `,
		`keywatch_http_request_duration_seconds_count{method="GET",route="key"} `,
		`keywatch_log_fsync_duration_seconds_count `, `keywatch_commit_duration_seconds_count `,
		`keywatch_checkpoint_duration_seconds_count `,
	} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `[1-9]`).Match(body) {
			t.Errorf("%s has counted nothing", name)
		}
	}
	if !bytes.Contains(body, []byte("keywatch_watch_delivery_seconds_bucket{le=\"8\"} 0\n")) {
		t.Error("keywatch_watch_delivery_seconds is not there")
	}
}
