// Package wstest has clients of WebSocket for tests: one of another make, and one
// that sends and expects bytes as it is told.
package wstest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A Client is a strict WebSocket client of another make.
type Client struct {
	t    testing.TB
	Conn *websocket.Conn
	Ctx  context.Context
}

// A Frame is one message of the server.
type Frame map[string]any

// Dial opens a WebSocket at url; headers are name and value in turn. The client
// lives as long as the test, and five minutes at most.
func Dial(t testing.TB, url, subprotocol string, headers ...string) (*Client, *http.Response, error) {
	return DialBy(t, nil, url, subprotocol, headers...)
}

// DialBy is Dial by a client of HTTP, such as one that trusts the server's certificate.
func DialBy(t testing.TB, by *http.Client, url, subprotocol string, headers ...string) (*Client, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: by, HTTPHeader: h, Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &Client{t: t, Conn: conn, Ctx: ctx}, resp, nil
}

// Say sends a text message.
func (c *Client) Say(format string, args ...any) {
	c.t.Helper()
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	if err := c.Conn.Write(c.Ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("write %.100s: %v", text, err)
	}
}

// Text returns the next message.
func (c *Client) Text() string {
	c.t.Helper()
	kind, b, err := c.Conn.Read(c.Ctx)
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if kind != websocket.MessageText {
		c.t.Fatalf("got a message of kind %v, want text", kind)
	}
	return string(b)
}

// Next returns the next message as an object.
func (c *Client) Next() Frame {
	c.t.Helper()
	text := c.Text()
	var f Frame
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		c.t.Fatalf("%v in %.200s", err, text)
	}
	return f
}

// Want checks that the next messages are these.
func (c *Client) Want(texts ...string) {
	c.t.Helper()
	for _, want := range texts {
		if got := c.Text(); got != want {
			c.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// Ask sends a command and returns the next message.
func (c *Client) Ask(format string, args ...any) Frame {
	c.t.Helper()
	c.Say(format, args...)
	return c.Next()
}

// Refused sends a command that must be answered with this code, and id unless
// that is 0.
func (c *Client) Refused(code string, id int, format string, args ...any) Frame {
	c.t.Helper()
	f := c.Ask(format, args...)
	problem, _ := f["error"].(map[string]any)
	if problem["code"] != code || id != 0 && f["id"] != float64(id) || id == 0 && f["id"] != nil || f["ok"] != nil {
		c.t.Errorf("%.200s: got %v, want code %s for id %d", format, f, code, id)
	}
	return problem
}

// WantClose reads on until the server closes, which must be with this code.
func (c *Client) WantClose(code int) {
	c.t.Helper()
	for {
		_, _, err := c.Conn.Read(c.Ctx)
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); int(got) != code {
			c.t.Fatalf("got close code %d (%v), want %d", got, err, code)
		}
		return
	}
}
