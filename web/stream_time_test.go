package web_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"keywatch/kv"
	"keywatch/web"
)

// bubble serves one connection without a network, inside a synctest bubble.
func bubble(t *testing.T, test func(t *testing.T, w *world, conn net.Conn)) {
	warm := newWorld(t) // fasthttp starts a goroutine for the date with its first answer
	warm.want(200, "GET", "/healthz", "")
	synctest.Test(t, func(t *testing.T) {
		log, hub := newStore(t, kv.Params{})
		server, err := web.New(web.Options{
			Store: kv.NewStore(log.state, log, kv.Limits{}), Hub: hub, Durability: web.DurabilityMemory,
			Listen: []string{"127.0.0.1:7070"},
		})
		if err != nil {
			t.Fatal(err)
		}
		client, conn := net.Pipe()
		served := make(chan error, 1)
		go func() {
			plain := fasthttp.Server{Handler: server.Handler(), NoDefaultServerHeader: true, KeepHijackedConns: true}
			served <- plain.ServeConn(conn)
		}()
		test(t, &world{t: t, log: log, state: log.state, hub: hub, server: server}, client)
		client.Close()
		if err := <-served; err != nil {
			t.Errorf("ServeConn: %v", err)
		}
		synctest.Wait()
		if got := hub.Stats().Watchers; got != 0 {
			t.Errorf("got %d watchers at the end, want 0", got)
		}
		if err := server.Shutdown(context.Background()); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		hub.Close()
	})
}

func (w *world) write(key, value string) {
	w.t.Helper()
	c := &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(value)}}}
	if _, err := w.log.Propose(context.Background(), c); err != nil {
		w.t.Fatal(err)
	}
}

// Without it proxies would close idle streams, and the positions of idle clients
// would grow too old to resume from.
func TestStreamHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		s := ask(t, conn, "GET /v1/watch?key=a&state=0 HTTP/1.1", "Host: 127.0.0.1:7070")
		s.wantRetry()
		s.want(fmt.Sprintf(sseSynced, 0))
		w.write("other", "1")
		start := time.Now()
		s.want("event: progress\ndata: {\"type\":\"progress\"}\nid: 7f3a9c21-1\n")
		if got := time.Since(start); got != 15*time.Second {
			t.Errorf("got a heartbeat after %v, want 15 s", got)
		}
	})
}

// Without it a client that stops reading would hold a goroutine and its place
// for ever.
func TestStreamWriteTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		s := ask(t, conn, "GET /v1/watch?key=a&state=0 HTTP/1.1", "Host: 127.0.0.1:7070")
		s.wantRetry()
		s.want(fmt.Sprintf(sseSynced, 0))
		w.write("a", "1")
		synctest.Wait()
		if got := w.hub.Stats().Watchers; got != 1 {
			t.Fatalf("got %d watchers, want 1", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := w.hub.Stats().Watchers; got != 0 {
			t.Errorf("got %d watchers after the write timeout, want 0", got)
		}
	})
}

// Without it a client that does not read would keep the server from stopping.
func TestStalledStreamIsCutOff(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		s := ask(t, conn, "GET /v1/watch?key=a&state=0 HTTP/1.1", "Host: 127.0.0.1:7070")
		s.wantRetry()
		s.want(fmt.Sprintf(sseSynced, 0))
		w.write("a", "1")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		if err := w.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Shutdown took %v, want 1 s", got)
		}
		if got := w.hub.Stats().Watchers; got != 0 {
			t.Errorf("got %d watchers after Shutdown, want 0", got)
		}
	})
}

// Without it a client that leaves would be noticed only by the next write.
func TestStreamNoticesClientLeaving(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		s := ask(t, conn, "GET /v1/watch?key=a HTTP/1.1", "Host: 127.0.0.1:7070")
		s.wantRetry()
		s.want(sseReset, fmt.Sprintf(sseSynced, 0))
		conn.Close()
		synctest.Wait()
		if got := w.hub.Stats().Watchers; got != 0 {
			t.Errorf("got %d watchers, want 0", got)
		}
	})
}
