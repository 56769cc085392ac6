package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"keywatch/web"
)

// Connections that are not used, or that send a request byte by byte, must not
// be kept for ever: their number is bounded.
func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*web.Options)
		send   string
		want   string
	}{
		{"idle", func(o *web.Options) { o.IdleTimeout = 40 * time.Millisecond }, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 "},
		{"slow head", func(o *web.Options) { o.ReadTimeout = 40 * time.Millisecond }, "GET /healthz HTTP/1.1\r\nHost: loc", "HTTP/1.1 408 "},
		{"slow body", func(o *web.Options) { o.ReadTimeout = 40 * time.Millisecond }, "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx", "HTTP/1.1 408 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.change)
			got := w.rawInTime(c.send) // which reads until the server closes the connection
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %s", got, c.want)
			}
			if rev := w.state.Position().Rev; rev != 0 {
				t.Errorf("half a request was applied: revision %d", rev)
			}
		})
	}
}

// A handler may take longer than any of the times that a connection has for
// reading, writing and waiting; and a connection that was used stays usable.
func TestTimeoutsSpareHandlers(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		o.ReadTimeout, o.WriteTimeout, o.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond, time.Hour
	})
	const request = "GET /v1/kv/none?wait=500ms HTTP/1.1\r\nHost: localhost\r\n\r\n"
	var answers *bufio.Reader
	var conn net.Conn
	w.eventually("a client is in time", func() bool {
		conn = w.open()
		fmt.Fprint(conn, request)
		answers = bufio.NewReader(conn)
		_, err := answers.Peek(1)
		return err == nil
	})
	for i := range 2 {
		if i > 0 {
			fmt.Fprint(conn, request)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != 404 {
			t.Errorf("got %d, want 404", resp.StatusCode)
		}
	}
}

// A client that is refused while it is still sending must get to see why; a
// connection that is simply closed would look like an outage.
func TestRefusalReachesWhoIsSending(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxBody = 1000 })
	for range 10 {
		w.refused(413, "body_too_large", "PUT", "/v1/kv/a", strings.Repeat("v", 4<<20))
	}
}
