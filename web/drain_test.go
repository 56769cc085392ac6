package web_test

import (
	"context"
	"strings"
	"testing"
	"time"
)

// While a server drains, a load balancer must be told, streams must leave, and who has not left
// yet must still be served: otherwise each restart shows.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	first := w.stream("/v1/watch?key=a", "Accept", "text/event-stream")
	defer first.Body.Close()
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() {
		w.server.Drain(ctx, 24*time.Hour)
		close(drained)
	}()
	w.eventually("the server is not ready any more", func() bool { return w.server.Ready(false) != nil })
	w.refused(503, "stopping", "GET", "/readyz", "")
	w.eventually("the only stream was told to leave", func() bool { return w.server.Streams() == 0 })
	w.refused(503, "stopping", "GET", "/v1/watch?key=a", "")
	w.refused(503, "stopping", "GET", "/v1/ws", "", "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	conn := w.wire(t)
	conn.send("PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
	if got := conn.answer("PUT"); !strings.Contains(got, "201 Created") || !strings.Contains(got, "Connection: close") {
		t.Errorf("a put while the server drains: got %s", got)
	}
	cancel()
	<-drained
	if err := w.server.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown after Drain: %v", err)
	}
}
