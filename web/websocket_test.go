package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/web"
	"keywatch/web/ws/wstest"
)

// socket opens a WebSocket; query begins with a question mark, or is empty.
func (w *world) socket(query string, headers ...string) *wstest.Client {
	w.t.Helper()
	c, resp, err := w.dial(query, headers...)
	if err != nil {
		w.t.Fatalf("dial: %v, %v", err, resp)
	}
	return c
}

func (w *world) dial(query string, headers ...string) (*wstest.Client, *http.Response, error) {
	return wstest.DialBy(w.t, w.client, w.wsBase()+"/v1/ws"+query, "keywatch.v1.json", headers...)
}

// rawSocket opens a WebSocket on a connection of its own, and sends early with
// the handshake.
func (w *world) rawSocket(query, early string) *wstest.Raw {
	w.t.Helper()
	conn, err := w.connect()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	gate.Bound(w.t, conn)
	return wstest.Upgrade(w.t, conn, query, early)
}

// rawHead sends bytes and returns the head of the answer.
func (w *world) rawHead(request string) string {
	w.t.Helper()
	conn, err := w.connect()
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	gate.Bound(w.t, conn)
	io.WriteString(conn, request)
	var head strings.Builder
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// metric returns a metric without labels.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	for line := range strings.Lines(w.want(200, "GET", "/metrics", "").body) {
		var value float64
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				w.t.Fatal(err)
			}
			return value
		}
	}
	w.t.Fatalf("there is no metric %s", name)
	return 0
}

// Without it a client that asks too much through a socket would not be stopped.
func TestSocketRateLimit(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		rates, err := ratelimit.ParseRates("reads=1/h:3,writes=1/h:5,watches=1/h:3")
		if err != nil {
			t.Fatal(err)
		}
		o.Limiter, o.RateLoopback = ratelimit.New(rates), true
	})
	c := w.socket("") // one of the watches
	for i, step := range []struct {
		say  string
		good int
	}{
		{`"op":"put","key":"a","value":"1"`, 2},
		{`"op":"batch","ops":[{"op":"delete","key":"b"},{"op":"delete","key":"c"}]`, 1},
		{`"op":"cas","key":"x","expected":null,"new":"1"`, 1},
		{`"op":"list"`, 1},
		{`"op":"get","key":"a"`, 1},
		{`"op":"batch","ops":[{"op":"get","key":"a"}]`, 1},
		{`"op":"ping"`, 5},
	} {
		for range step.good {
			if f := c.Ask(`{"id":%d,%s}`, i+1, step.say); f["ok"] != true {
				t.Fatalf("%s: got %v", step.say, f)
			}
		}
	}
	for _, say := range []string{`"op":"put","key":"a","value":"1"`, `"op":"get","key":"a"`} {
		if problem := c.Refused("rate_limited", 9, `{"id":9,%s}`, say); problem["retry_ms"].(float64) < 1000 {
			t.Errorf("got %v, want a time to wait", problem)
		}
	}
}

// Without it operators could not tell what sockets do, or why they end.
func TestSocketMetrics(t *testing.T) {
	w := newWorld(t)
	c := w.socket("?key=a")
	c.Next()
	c.Next()
	c.Ask(`{"id":1,"op":"ping"}`)
	c.Ask(`{"id":2,"op":"nonsense"}`)
	r := w.rawSocket("", wstest.Masked(0x82, ""))
	r.WantClose(1003)
	w.eventually("one socket is left", func() bool { return w.metric("keywatch_sockets") == 1 })
	text := w.want(200, "GET", "/metrics", "").body
	for _, line := range []string{
		`keywatch_socket_commands_total{op="ping"} 1`, `keywatch_socket_commands_total{op="unknown"} 1`,
		`keywatch_sockets_closed_total{code="1003"} 1`, `keywatch_socket_frames_total{direction="in"} 4`,
		`keywatch_refused_total{code="bad_json"} 1`, `keywatch_http_requests_total{method="GET",route="ws",status="101"} 2`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
}

// If a connection that breaks off left something behind, a server with bad
// networks would fill up.
func TestSocketAbruptEnd(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		w.write(fmt.Sprintf("p/%d", i), strings.Repeat("x", 1000))
	}
	warm := w.rawSocket("?prefix=", "")
	warm.Frame()
	warm.Conn.Close()
	w.eventually("nobody is there", func() bool { return w.metric("keywatch_sockets") == 0 })
	goroutines := runtime.NumGoroutine()
	const seed = 42
	rnd := rand.New(rand.NewPCG(seed, 1))
	script := fmt.Sprintf(wstest.Handshake, "?prefix=p/") +
		wstest.Masked(wstest.Text, `{"id":1,"op":"watch","prefixes":["p/"]}`) + wstest.Masked(wstest.Text, `{"id":2,"op":"put","key":"p/1","value":"2"}`) +
		wstest.Masked(0x01, `{"id":3,"op":"li`) + wstest.Masked(0x89, "?") + wstest.Masked(0x80, `st"}`) + wstest.Masked(wstest.Text, `{"id":4,"op":"unwatch","watch":1}`) +
		wstest.Masked(wstest.Text, `{"id":5,"op":"watch","keys":["a"]}`) + wstest.Masked(0x88, "\x03\xe8")
	for i := range 300 {
		conn, err := w.connect()
		if err != nil {
			t.Fatal(err)
		}
		cut := rnd.IntN(len(script) + 1)
		if _, err := conn.Write([]byte(script[:cut])); err != nil {
			t.Fatalf("round %d, cut at %d: %v", i, cut, err)
		}
		if rnd.IntN(2) == 0 {
			conn.SetReadDeadline(time.Now().Add(time.Duration(rnd.IntN(2000)) * time.Microsecond))
			buf := make([]byte, rnd.IntN(5000)+1)
			conn.Read(buf)
		}
		if rnd.IntN(2) == 0 {
			tcpOf(conn).SetLinger(0) // a reset
		}
		conn.Close()
	}
	w.client.CloseIdleConnections()
	w.eventually("all sockets and watches are gone (seed 42)", func() bool {
		return w.metric("keywatch_sockets") == 0 && w.hub.Stats().Watchers == 0
	})
	w.eventually("all goroutines are gone", func() bool {
		w.client.CloseIdleConnections()
		return runtime.NumGoroutine() <= goroutines+3
	})
}

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
	for _, origin := range []string{"https://app.example", w.base} {
		c := w.socket("", "Origin", origin)
		if got := c.Ask(`{"id":1,"op":"ping"}`); got["ok"] != true {
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
		early += wstest.Masked(wstest.Text, fmt.Sprintf(`{"id":%d,"op":"put","key":"k","value":"%s"}`, i, strings.Repeat("x", 300)))
	}
	r := w.rawSocket("", early)
	for i := 1; i <= 40; i++ {
		if _, got := r.Frame(); !strings.HasPrefix(got, fmt.Sprintf(`{"id":%d,"ok":true,"rev":%d,`, i, i)) {
			t.Fatalf("got %s for command %d", got, i)
		}
	}
}

// Without it a message just below the limit would be refused, or one above it
// kept.
func TestSocketReadLimit(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxBody = 2 << 20 })
	c := w.socket("")
	if got := c.Ask(`{"id":1,"op":"put","key":"a","value":"%s"}`, strings.Repeat("x", 1<<20)); got["ok"] != true {
		t.Errorf("got %v for a value of 1 MiB", got)
	}
	if got := c.Ask(`{"id":2,"op":"get","key":"a"}`); len(got["value"].(string)) != 1<<20 {
		t.Errorf("got a value of %d bytes", len(got["value"].(string)))
	}
	go c.Conn.Write(c.Ctx, websocket.MessageText, []byte(strings.Repeat(" ", 2<<20+1)))
	c.WantClose(1009)
}

// Without it one client that does not answer would keep the server from
// stopping.
func TestSocketStopCutsOff(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, conn net.Conn) {
		wstest.Upgrade(t, conn, "?key=a", "") // reads nothing
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		if got := w.hub.Stats().Watchers; got != 0 {
			t.Errorf("got %d watchers after Shutdown", got)
		}
	})
}

// Without the caps one client could take all the memory there is.
func TestSocketCaps(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		o.MaxStreams = 2
		o.Hub = watch.New(watch.Options{MaxWatches: 3})
		t.Cleanup(o.Hub.Close)
		o.Hub.Bind(kv.NewState(kv.StateOptions{}))
	})
	c := w.socket("")
	for i := 1; i <= 3; i++ {
		c.Say(`{"id":%d,"op":"watch","keys":["a"],"state":false}`, i)
		c.Next()
		c.Next()
	}
	c.Refused("too_many_watches", 4, `{"id":4,"op":"watch","keys":["a"]}`)
	c.Say(`{"id":5,"op":"unwatch","watch":1}`)
	c.Want(`{"id":5,"ok":true}`)
	c.Say(`{"id":6,"op":"watch","keys":["a"],"state":false}`)
	c.Want(`{"id":6,"ok":true}`)
	w.socket("")
	if _, resp, err := w.dial(""); err == nil || resp.StatusCode != 429 {
		t.Errorf("got %v, %v for a third socket, want 429", resp, err)
	}
}
