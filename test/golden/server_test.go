package golden_test

import (
	"context"
	"net"
	"testing"

	"github.com/alecthomas/kong"

	"keywatch/app"
	"keywatch/test/gate"
)

// A server is one that runs in this process, on an empty folder.
type server struct {
	t    testing.TB
	addr string
	stop context.CancelFunc
	done chan error // the end of Serve, sent once
}

// startServer starts a server with flags as the command takes them.
func startServer(t testing.TB, flags []string) *server {
	t.Helper()
	var command struct {
		app.ServeConfig `embed:""`
	}
	parser, err := kong.New(&command)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing happens by the clock that a script does not ask for.
	base := []string{"--listen=127.0.0.1:0", "--data=" + t.TempDir(), "--heartbeat=1h", "--huge-pages=off", "--checkpoint-every=1h"}
	if _, err := parser.Parse(append(base, flags...)); err != nil {
		t.Fatalf("serve %v: %v", flags, err)
	}
	command.Version = "golden"
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{t: t, stop: cancel, done: make(chan error, 1)}
	began := make(chan net.Addr, 1)
	go func() { s.done <- app.Serve(ctx, command.ServeConfig, func(a net.Addr) { began <- a }) }()
	select {
	case addr := <-began:
		s.addr = addr.String()
	case err := <-s.done:
		cancel()
		t.Fatalf("serve %v: %v", flags, err)
	}
	return s
}

// end stops the server and waits for its end.
func (s *server) end() {
	s.t.Helper()
	s.stop()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("the server ended with %v", err)
		}
	case <-gate.Context(s.t).Done():
		s.t.Error("the server did not end")
	}
}
