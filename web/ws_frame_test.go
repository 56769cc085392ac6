package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"keywatch/web"
)

// If the handshake let in what it must not, another site's page could use the
// server, or a client would speak something else.
func TestSocketHandshake(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.AllowOrigin = []string{"https://app.example"} })
	key := []string{"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	with := func(more ...string) []string { return append(append([]string(nil), key...), more...) }
	without := func(name string) (h []string) {
		for i := 0; i < len(key); i += 2 {
			if key[i] != name {
				h = append(h, key[i], key[i+1])
			}
		}
		return h
	}
	for _, c := range []struct {
		status  int
		code    string
		query   string
		headers []string
	}{
		{403, "origin_not_allowed", "", with("Origin", "https://evil.example")},
		{403, "origin_not_allowed", "", with("Origin", "null")},
		{421, "host_not_allowed", "", with("Host", "evil.example")},
		{400, "bad_request", "", nil},
		{400, "bad_request", "", without("Upgrade")},
		{400, "bad_request", "", without("Connection")},
		{400, "bad_request", "", without("Sec-WebSocket-Key")},
		{400, "bad_request", "", without("Sec-WebSocket-Version")},
		{400, "bad_request", "", append(without("Sec-WebSocket-Version"), "Sec-WebSocket-Version", "8")},
		{400, "bad_request", "", append(without("Sec-WebSocket-Key"), "Sec-WebSocket-Key", "c2hvcnQ=")},
		{400, "bad_request", "", with("Sec-WebSocket-Protocol", "chat")},
		{400, "bad_request", "", with("Sec-WebSocket-Protocol", "keywatch.v1.json.extra, chat")},
		{400, "bad_condition", "", with("If-Match", "*")},
		{400, "bad_key", "?key=/", key},
		{400, "bad_parameter", "?keys=a", key},
		{400, "bad_parameter", "?since=7f3a9c21-1", key},
		{400, "bad_parameter", "?key=a&mode=fast", key},
		{400, "bad_parameter", "?key=a&named=0", key},
		{400, "bad_parameter", "?key=a&since=7f3a9c21-1&state=1", key},
	} {
		w.refused(c.status, c.code, "GET", "/v1/ws"+c.query, "", c.headers...)
	}
	w.refused(405, "method_not_allowed", "POST", "/v1/ws", "", key...)
	if got := w.hub.Stats().Watchers; got != 0 {
		t.Errorf("got %d watchers, want none", got)
	}
	for _, origin := range []string{"https://app.example", "http://" + w.addr} {
		c := w.socket("", "Origin", origin)
		if got := c.ask(`{"id":1,"op":"ping"}`); got["ok"] != true {
			t.Errorf("from %s: got %v", origin, got)
		}
	}
}

// Without it a client that offers more than one subprotocol, in whatever way,
// would be refused, or told the wrong one.
func TestSocketSubprotocol(t *testing.T) {
	w := newWorld(t)
	for offer, want := range map[string]string{
		"keywatch.v1.json": "keywatch.v1.json", "chat,keywatch.v1.json": "keywatch.v1.json",
		"chat\r\nSec-WebSocket-Protocol: keywatch.v1.json": "keywatch.v1.json",
		"keywatch.v1.ndjson, keywatch.v1.json":             "keywatch.v1.ndjson",
		"keywatch.v1.json, keywatch.v1.ndjson":             "keywatch.v1.json",
	} {
		got := w.rawHead("GET /v1/ws HTTP/1.1\r\nHost: " + w.addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + offer + "\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 101 ") || strings.Count(got, "Sec-Websocket-Protocol: "+want+"\r\n")+
			strings.Count(got, "Sec-WebSocket-Protocol: "+want+"\r\n") != 1 {
			t.Errorf("offer %q: got %q", offer, got)
		}
	}
}

// If bytes that come with the handshake were lost, a fast client would wait for
// its first answers for ever.
func TestSocketEarlyBytes(t *testing.T) {
	w := newWorld(t)
	early := ""
	for i := 1; i <= 40; i++ {
		early += masked(textFrame, fmt.Sprintf(`{"id":%d,"op":"put","key":"k","value":"%s"}`, i, strings.Repeat("x", 300)))
	}
	r := w.rawSocket("", early)
	for i := 1; i <= 40; i++ {
		if _, got := r.frame(); !strings.HasPrefix(got, fmt.Sprintf(`{"id":%d,"ok":true,"rev":%d,`, i, i)) {
			t.Fatalf("got %s for command %d", got, i)
		}
	}
}

// If the server let a broken frame pass, or answered a good one otherwise,
// strict peers could not talk to it.
func TestSocketFrames(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxBody = 2 << 20 })
	const pingCommand, pong = `{"id":1,"op":"ping"}`, `{"id":1,"ok":true,"position":"7f3a9c21-0"}`
	for _, c := range []struct {
		name, send string
		want       []string
		code       int
	}{
		{"ping", masked(0x89, "who") + masked(textFrame, pingCommand), []string{"\x8awho", "\x81" + pong}, 0},
		{"pong", masked(0x8a, "unasked") + masked(textFrame, pingCommand), []string{"\x81" + pong}, 0},
		{"fragments around a ping", masked(0x01, pingCommand[:5]) + masked(0x89, "!") + masked(0x00, pingCommand[5:9]) + masked(0x80, pingCommand[9:]), []string{"\x8a!", "\x81" + pong}, 0},
		{"normal close", masked(0x88, "\x03\xe8done"), nil, 1000},
		{"close of one's own", masked(0x88, "\x0f\xa0"), nil, 4000},
		{"empty close", masked(0x88, ""), nil, -1},
		{"close with half a code", masked(0x88, "\x03"), nil, 1002},
		{"close with a bad code", masked(0x88, "\x03\xed"), nil, 1002},
		{"close with a bad reason", masked(0x88, "\x03\xe8\xff"), nil, 1007},
		{"not masked", "\x81\x01a", nil, 1002},
		{"reserved bit", masked(0xc1, "a"), nil, 1002},
		{"bad opcode", masked(0x83, "a"), nil, 1002},
		{"fragmented ping", masked(0x09, "a"), nil, 1002},
		{"binary", masked(0x82, pingCommand), nil, 1003},
		{"not UTF-8", masked(textFrame, "{\xff}"), nil, 1007},
		{"too large", masked(textFrame, strings.Repeat("x", 2<<20+1)), nil, 1009},
		{"too large in fragments", masked(0x01, strings.Repeat("x", 2<<20)) + masked(0x80, "x"), nil, 1009},
		{"an answer, then the close", masked(textFrame, `nonsense`) + masked(0x88, "\x03\xe8"), nil, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.rawSocket("", "")
			r.t = t
			go r.conn.Write([]byte(c.send))
			r.want(c.want...)
			switch {
			case c.code == -1:
				r.want("\x88")
				if first, _ := r.frame(); first != 0 {
					t.Errorf("got another frame after the close frame")
				}
			case c.code != 0:
				r.wantClose(c.code)
			}
		})
	}
	w.eventually("all sockets are closed but two", func() bool { return w.metric("keywatch_sockets") <= 3 })
	r := w.rawSocket("", "")
	r.send(masked(textFrame, pingCommand))
	r.want("\x81" + pong)
}

// Without it a message just below the limit would be refused, or one above it
// kept.
func TestSocketReadLimit(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxBody = 2 << 20 })
	c := w.socket("")
	if got := c.ask(`{"id":1,"op":"put","key":"a","value":"%s"}`, strings.Repeat("x", 1<<20)); got["ok"] != true {
		t.Errorf("got %v for a value of 1 MiB", got)
	}
	if got := c.ask(`{"id":2,"op":"get","key":"a"}`); len(got["value"].(string)) != 1<<20 {
		t.Errorf("got a value of %d bytes", len(got["value"].(string)))
	}
	go c.conn.Write(c.ctx, websocket.MessageText, []byte(strings.Repeat(" ", 2<<20+1)))
	c.wantClose(1009)
}
