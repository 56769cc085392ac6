package client_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"keywatch/app"
	"keywatch/client"
	"keywatch/test/gate"
)

// A server is a keywatch server in this process.
type server struct {
	url  string
	stop func() // waits; may be called twice
}

// serve starts a server. The zero config keeps nothing on disk, on any port.
func serve(t testing.TB, config app.ServeConfig) *server {
	t.Helper()
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	config.MemoryOnly = config.Data == ""
	url, stop, err := start(config)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: url, stop: sync.OnceFunc(func() {
		if err := stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})}
	t.Cleanup(s.stop)
	return s
}

// start starts a server; stop waits for its end.
func start(config app.ServeConfig) (url string, stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() { done <- app.Serve(ctx, config, func(addr net.Addr) { ready <- addr }) }()
	select {
	case addr := <-ready:
		return "http://" + addr.String(), func() error { cancel(); return <-done }, nil
	case err := <-done:
		cancel()
		return "", nil, err
	}
}

// connect returns a client that is closed with the test.
func connect(t testing.TB, endpoints ...string) *client.Client {
	t.Helper()
	return connectWith(t, client.Options{Endpoints: endpoints})
}

func connectWith(t testing.TB, opts client.Options) *client.Client {
	t.Helper()
	c, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// eventually polls until ok, and fails the test if that never comes.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	gate.Until(t, ok, "never: %s", what)
}
