package app_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"keywatch/app"
)

// A served is a server with authentication, over HTTP.
type served struct {
	t    *testing.T
	url  string
	log  *lockedBuffer
	stop func() error
}

// A lockedBuffer is a log that a test may read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serveAuth serves c until stop or the end of the test.
func serveAuth(t *testing.T, c app.ServeConfig) *served {
	t.Helper()
	s, err := tryServe(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tryServe is serveAuth that returns why nothing is served.
func tryServe(t *testing.T, c app.ServeConfig) (*served, error) {
	t.Helper()
	s := &served{t: t, log: new(lockedBuffer)}
	c.Listen = "127.0.0.1:0"
	c.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.Background())
	addr, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() { done <- app.Serve(ctx, c, func(a net.Addr) { addr <- a }) }()
	var once sync.Once
	var ended error
	s.stop = func() error {
		once.Do(func() {
			cancel()
			http.DefaultClient.CloseIdleConnections()
			ended = <-done
		})
		return ended
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case a := <-addr:
		s.url = "http://" + a.String()
		return s, nil
	case err := <-done:
		once.Do(cancel)
		return nil, err
	}
}

// ask sends a request with a credential, unless that is empty, and returns the status and the body.
func (s *served) ask(secret, method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	must(s.t, err)
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	resp, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return resp.StatusCode, string(b)
}

func (s *served) want(status int, secret, method, path, body string) string {
	s.t.Helper()
	got, text := s.ask(secret, method, path, body)
	if got != status {
		s.t.Fatalf("%s %s: got %d %s, want %d", method, path, got, text, status)
	}
	return text
}
