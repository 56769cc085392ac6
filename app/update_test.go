package app_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"keywatch/app"
)

// lines is a writer that passes on what is written, line by line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// What a server was told to change must be in force for the next request, what cannot be used must
// change nothing, and what cannot be changed must be named.
func TestUpdatesWhileServing(t *testing.T) {
	said, updates := make(lines, 100), make(chan app.ServeConfig)
	config := app.ServeConfig{
		Config: app.Config{MemoryOnly: true, Logger: slog.New(slog.NewTextHandler(said, nil))},
		Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", RateLoopback: true, Updates: updates,
	}
	addrs := make(chan net.Addr, 2)
	config.OpsStarted = func(a net.Addr) { addrs <- a }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, config, func(a net.Addr) { addrs <- a }) }()
	ops, public := "http://"+(<-addrs).String(), "http://"+(<-addrs).String()
	status := func(method, url, host string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	want := func(line string) {
		t.Helper()
		for got := range said {
			if strings.Contains(got, line) {
				return
			}
		}
	}
	expect := func(got, want int, what string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %d, want %d", what, got, want)
		}
	}
	expect(status("PUT", public+"/v1/kv/a", "kv.example"), 421, "a foreign host")
	next := config
	next.AllowHost, next.RateLimit, next.ClientMemory = []string{"kv.example"}, "writes=1/h:2", 20<<20
	next.MaxConnections, next.MemoryMax, next.Peers.LogKeep = 7, 1<<30, 1<<20
	next.Traces.OTLPRatio = 0.5 // there is no collector
	updates <- next
	want(`changed="[allow-host rate-limit client-memory client-memory-per-caller]"`)
	want(`flags="[memory-max log-keep max-connections otlp-ratio]"`)
	for _, code := range []int{201, 200, 429} {
		expect(status("PUT", public+"/v1/kv/a", "kv.example"), code, "a write under the new limits")
	}
	expect(status("GET", ops+"/debug/pprof/heap", "kv.example"), 200, "a profile")
	bad := next
	bad.AllowHost, bad.RateLimit = []string{"a b"}, "off"
	updates <- bad
	want("nothing was changed")
	expect(status("PUT", public+"/v1/kv/a", "kv.example"), 429, "a write after what cannot be used")
	updates <- config
	want(`changed="[allow-host rate-limit client-memory client-memory-per-caller]"`)
	expect(status("PUT", public+"/v1/kv/a", ""), 200, "a write under the first limits")
	expect(status("PUT", public+"/v1/kv/a", "kv.example"), 421, "a foreign host again")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
