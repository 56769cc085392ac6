package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A socketClient is a strict WebSocket client of another make.
type socketClient struct {
	t    testing.TB
	conn *websocket.Conn
	ctx  context.Context
}

// A frame is one message of the server.
type frame map[string]any

// socket opens a WebSocket; query begins with a question mark, or is empty.
func (w *world) socket(query string, headers ...string) *socketClient {
	w.t.Helper()
	c, resp, err := w.dial(query, headers...)
	if err != nil {
		w.t.Fatalf("dial: %v, %v", err, resp)
	}
	return c
}

func (w *world) dial(query string, headers ...string) (*socketClient, *http.Response, error) {
	return w.dialAs("keywatch.v1.json", query, headers...)
}

func (w *world) dialAs(subprotocol, query string, headers ...string) (*socketClient, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	w.t.Cleanup(cancel)
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	conn, resp, err := websocket.Dial(ctx, "ws://"+w.addr+"/v1/ws"+query, &websocket.DialOptions{
		HTTPHeader: h, Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(64 << 20)
	w.t.Cleanup(func() { conn.CloseNow() })
	return &socketClient{t: w.t, conn: conn, ctx: ctx}, resp, nil
}

// say sends a text message.
func (c *socketClient) say(format string, args ...any) {
	c.t.Helper()
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	if err := c.conn.Write(c.ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("write %.100s: %v", text, err)
	}
}

// text returns the next message.
func (c *socketClient) text() string {
	c.t.Helper()
	kind, b, err := c.conn.Read(c.ctx)
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if kind != websocket.MessageText {
		c.t.Fatalf("got a message of kind %v, want text", kind)
	}
	return string(b)
}

// next returns the next message as an object.
func (c *socketClient) next() frame {
	c.t.Helper()
	text := c.text()
	var f frame
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		c.t.Fatalf("%v in %.200s", err, text)
	}
	return f
}

// want checks that the next messages are these.
func (c *socketClient) want(texts ...string) {
	c.t.Helper()
	for _, want := range texts {
		if got := c.text(); got != want {
			c.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// ask sends a command and returns the next message.
func (c *socketClient) ask(format string, args ...any) frame {
	c.t.Helper()
	c.say(format, args...)
	return c.next()
}

// refused sends a command that must be answered with this code, and id unless
// that is 0.
func (c *socketClient) refused(code string, id int, format string, args ...any) frame {
	c.t.Helper()
	f := c.ask(format, args...)
	problem, _ := f["error"].(map[string]any)
	if problem["code"] != code || id != 0 && f["id"] != float64(id) || id == 0 && f["id"] != nil || f["ok"] != nil {
		c.t.Errorf("%.200s: got %v, want code %s for id %d", format, f, code, id)
	}
	return problem
}

// wantClose reads on until the server closes, which must be with this code.
func (c *socketClient) wantClose(code int) {
	c.t.Helper()
	for {
		_, _, err := c.conn.Read(c.ctx)
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); int(got) != code {
			c.t.Fatalf("got close code %d (%v), want %d", got, err, code)
		}
		return
	}
}
