package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/web"
)

// A request in flight when the server stops must be answered; one that comes
// after must be refused as not applied; and nothing may be left running.
func TestShutdown(t *testing.T) {
	w := newWorld(t)
	started, release := make(chan struct{}), make(chan struct{})
	w.log.fail = func(_ context.Context, c *kv.Command) error {
		if c.Ops[0].Key == "slow" {
			close(started)
			<-release
		}
		return nil
	}
	silent, err := w.connect() // never sends anything
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	keep, err := w.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	answers := bufio.NewReader(keep)
	ask := func(conn net.Conn, key string) {
		fmt.Fprintf(conn, "PUT /v1/kv/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1", key)
	}
	ask(keep, "slow")
	<-started
	stopped := make(chan error, 1)
	go func() {
		stopped <- w.server.Shutdown(gate.Context(t))
	}()
	w.eventually("no more connections are taken", func() bool {
		conn, err := w.connect()
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	ask(keep, "late") // pipelined behind the slow one
	close(release)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil || resp.StatusCode != 201 {
		t.Fatalf("in flight: %v %v, want 201", resp, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if e, _ := w.state.Get("late"); e != nil {
		t.Error("a request after the stop was applied")
	}
}

// A handler that does not end must not keep the server from stopping.
func TestShutdownCutsOff(t *testing.T) {
	log, hub := newStore(t, kv.Params{})
	server, err := web.New(web.Options{Store: storeOf(log), Hub: hub})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	log.fail = func(ctx context.Context, _ *kv.Command) error {
		close(started)
		<-ctx.Done()
		return kv.ErrOutcomeUnknown
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1")
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v, want context.Canceled", err)
	}
	if err := <-served; !errors.Is(err, web.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	if err := server.Shutdown(context.Background()); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown again: %v, want the same", err)
	}
	if err := server.Serve(ln); !errors.Is(err, web.ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}
