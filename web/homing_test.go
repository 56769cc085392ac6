package web_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"keywatch/web"
	"keywatch/web/ws/wstest"
)

// homeward returns a world in which every connection that is idle on a goroutine is called back to
// an event loop at once, whatever it has just begun.
func homeward(t *testing.T) *world {
	w := newWorld(t, inClear, func(o *web.Options) {
		o.IdleTimeout, o.ReadTimeout, o.WriteTimeout = 1e6*time.Hour, 1e6*time.Hour, 1e6*time.Hour
	})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				w.server.Sweep()
				runtime.Gosched() // on one processor others would wait for a time slice each
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return w
}

// If this failed, a request that comes at the moment in which its connection is given back to an
// event loop would never be answered, or one that upgrades the connection would leave it unserved.
func TestRequestsMeetTheReturnToALoop(t *testing.T) {
	w := homeward(t)
	w.write("a", "1")
	for range 50 {
		conn := w.wire(t)
		for i, request := range []string{pipeline[5], pipeline[2], pipeline[5] + pipeline[2], "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
			conn.send(request)
			for range strings.Count(request, " HTTP/1.1") {
				if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 200 OK") {
					t.Fatalf("request %d: got %s", i, got)
				}
			}
		}
		socket := wstest.Upgrade(t, conn.conn, "", "")
		socket.Send(wstest.Masked(wstest.Text, `{"id":1,"op":"get","key":"a"}`))
		if _, got := socket.Frame(); !strings.HasPrefix(got, `{"id":1,"ok":true,`) {
			t.Fatalf("on the socket: got %s", got)
		}
		conn.conn.Close()
	}
}

// If this failed, who waits for a lock on a connection that was about to be given back would not
// be missed when it leaves, and would get the lock all the same.
func TestLeaverIsMissedBesideTheReturnToALoop(t *testing.T) {
	w := homeward(t)
	w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`)
	for range 60 {
		conn := w.wire(t)
		conn.send(pipeline[5])
		conn.answer("GET")
		w.eventually("both connections are back", func() bool { return w.server.Looped() == 2 })
		conn.send("POST /v1/locks/l HTTP/1.1\r\nHost: localhost\r\nContent-Length: 24\r\n\r\n" + `{"ttl":"1h","wait":"5m"}`)
		w.waiters(1)
		conn.conn.Close()
		w.waiters(0)
	}
}
