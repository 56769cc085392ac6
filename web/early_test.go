package web_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"keywatch/test/gate"
	"keywatch/web"
)

// While a server waits to join a cluster, an orchestrator that hears nothing would restart it. Afterwards the same
// listener must serve.
func TestEarlyAnswers(t *testing.T) {
	t.Run("http", func(t *testing.T) { earlyAnswers(t, "http", nil, nil) })
	t.Run("https", func(t *testing.T) {
		server, client := gate.TLS(t)
		server.NextProtos = []string{"h2"} // which is not offered
		earlyAnswers(t, "https", server, client)
	})
}

func earlyAnswers(t *testing.T, scheme string, server, trusting *tls.Config) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := scheme + "://" + ln.Addr().String()
	ctx, started := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- web.ServeEarly(ctx, ln, server, slog.New(slog.DiscardHandler)) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting, ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)
	ask := func(method, path string) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(gate.Context(t), method, url+path, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b), resp.Header
	}
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/healthz", 200, "ok\n"},
		{"POST", "/healthz", 503, `"starting"`},
		{"GET", "/readyz", 503, `"starting"`},
		{"GET", "/v1/kv/a", 503, `"starting"`},
		{"PUT", "/v1/kv/a", 503, `"starting"`},
		{"GET", "/metrics", 503, `"starting"`},
		{"GET", "/nothing", 503, `"starting"`},
	} {
		status, body, header := ask(c.method, c.path)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.path, status, body, c.status, c.want)
		}
		if status == 503 && header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", c.method, c.path)
		}
	}
	silent, err := net.Dial("tcp", ln.Addr().String()) // which holds up nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	started()
	if err := <-ended; err != nil {
		t.Errorf("the end of early answers: %v", err)
	}
	w := newWorld(t, func(o *web.Options) { o.TLS = server })
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ln) }()
	if status, body, _ := ask("PUT", "/v1/kv/a"); status != 201 {
		t.Errorf("the server behind: got %d %s, want 201", status, body)
	}
	if status, _, _ := ask("GET", "/readyz"); status != 200 {
		t.Errorf("readyz of the server behind: got %d, want 200", status)
	}
	_ = ln.Close()
	<-served
}
