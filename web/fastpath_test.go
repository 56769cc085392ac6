package web_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/web"
)

// A wire is one connection to a server.
type wire struct {
	t       *testing.T
	conn    net.Conn
	answers *bufio.Reader
}

func (w *world) wire(t *testing.T) *wire {
	t.Helper()
	conn, err := w.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	gate.Bound(t, conn)
	return &wire{t, conn, bufio.NewReader(conn)}
}

func (c *wire) send(request string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, request); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one answer and returns its lines in order of the alphabet, without
// the date, and its body.
func (c *wire) answer(method string) string {
	c.t.Helper()
	resp, err := http.ReadResponse(c.answers, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	resp.Header.Del("Date")
	b, err := httputil.DumpResponse(resp, true)
	if err != nil {
		c.t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(b), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n\n" + body
}

// warm has a connection wait for its second request, as most do.
func (c *wire) warm() {
	c.t.Helper()
	c.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	c.answer("GET")
}

// fastSession is a history of requests for the fast path.
var fastSession = []string{
	"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\none",
	"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
	"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost:7070\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\ntwo",
	"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
	"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
	"PUT /v1/kv/a?ttl=1000000h HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
	"PUT /v1/kv/a?ttl=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
	"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nIf-Match: \"7f3a9c21-1\"\r\nContent-Length: 1\r\n\r\nx",
	"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nIf-Match: nonsense\r\nContent-Length: 1\r\n\r\nx",
	"PUT /v1/kv/b HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\nContent-Length: 1\r\n\r\nx",
	"PUT /v1/kv/b HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\nContent-Length: 1\r\n\r\nx",
	"GET /v1/kv/b HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"7f3a9c21-4\"\r\n\r\n",
	"GET /v1/kv/b HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"7f3a9c21-1\"\r\n\r\n",
	"PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k1\r\nContent-Length: 1\r\n\r\nx",
	"PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k1\r\nContent-Length: 1\r\n\r\nx",
	"PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k1\r\nContent-Length: 1\r\n\r\ny",
	"PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nIf-Fence: job=7\r\nContent-Length: 1\r\n\r\ny",
	"DELETE /v1/kv/c HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"DELETE /v1/kv/c HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 94\r\n\r\n" +
		`{"ops":[{"op":"put","key":"d","value":"1"},{"op":"get","key":"a"},{"op":"delete","key":"b"}]} `,
	"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n[]",
	"GET /v1/kv/a%2Fb%C3%A9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"PUT /v1/kv/a%2Fb%C3%A9 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
	"GET /v1/kv/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /v1/kv/a/../b HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"PUT /v1/kv/locks/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
	"GET /v1/kv/a HTTP/1.1\r\nHost: attacker.example\r\n\r\n",
	// As a client of Go, Node's fetch, a browser and a proxy send them.
	"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\nX-A: b\r\n\r\n",
	"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 1\r\n" +
		"Authorization: Bearer x\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nAccept-Encoding: gzip\r\n\r\nx",
	"GET /v1/kv/a HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive\r\naccept: */*\r\naccept-language: *\r\n" +
		"sec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: br, gzip, deflate\r\n\r\n",
	"PUT /v1/kv/a HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive\r\ncontent-type: text/plain;charset=UTF-8\r\n" +
		"accept: */*\r\nif-match: \"7f3a9c21-1\"\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\ncontent-length: 1\r\n\r\nx",
	"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nsec-ch-ua: \"Chromium\";v=\"130\"\r\nReferer: http://localhost/\r\n" +
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nCookie: a=b; c=d\r\n\r\n",
	"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\r\n",
	"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 10.0.0.7, 10.0.0.8\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-Host: example.org\r\nX-Real-IP: 10.0.0.7\r\nVia: 1.1 p\r\nX-Request-Id: 5\r\n\r\n",
}

// A request must be answered alike whichever way it is read: a client must not
// see whether its request was the first on a connection.
func TestFastAnswersAreTheSame(t *testing.T) {
	long, short, looped := newWorld(t, inClear, goroutines), newWorld(t, inClear, goroutines), newWorld(t, inClear)
	warm, onLoop := short.wire(t), looped.wire(t)
	warm.warm()
	before := short.server.FastAnswered()
	for i, request := range fastSession {
		method, _, _ := strings.Cut(request, " ")
		first := long.wire(t)
		first.send(request)
		warm.send(request)
		onLoop.send(request)
		want := first.answer(method)
		if got := warm.answer(method); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", request, got, want)
		}
		if got := onLoop.answer(method); got != want {
			t.Errorf("%q on an event loop:\ngot  %s\nwant %s", request, got, want)
		}
		if got := looped.server.FastAnswered(); got != int64(i+1) {
			t.Fatalf("%q: event loops answered %d of %d requests", request, got, i+1)
		}
		if got := short.server.FastAnswered() - before; got != int64(i+1) {
			t.Fatalf("%q: %d of %d requests took the fast path", request, got, i+1)
		}
	}
	if n := long.server.FastAnswered(); n != 0 {
		t.Errorf("%d first requests took the fast path: nothing was compared", n)
	}
}

func goroutines(o *web.Options) { o.Goroutines = true }

// What is not for the fast path must reach the server under it whole, and leave a connection
// that still works: a piece of a request, two at once, what is malformed.
func TestFastPathLeavesTheRest(t *testing.T) {
	w := newWorld(t, goroutines)
	w.want(201, "PUT", "/v1/kv/a", "v")
	get := "GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, c := range []struct{ name, first, second, want string }{
		{"two at once", get + get, "", "200 OK"},
		{"two at once, one with a body", "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx" + get, "", "200 OK"},
		{"in pieces", get[:20], get[20:] + get, "200 OK"},
		{"body in pieces", "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab", "cd" + get, "200 OK"},
		{"a header that is not one", "GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX_A: b\r\n\r\n" + get, "", "200 OK"},
		{"one caller twice", "GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 10.0.0.7\r\nX-Forwarded-For: 10.0.0.8\r\n\r\n" + get, "", "200 OK"},
		{"header twice", "GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nAccept: text/html\r\n\r\n" + get, "", "200 OK"},
		{"spaces", "GET /v1/kv/a HTTP/1.1\r\nHost:   localhost  \r\n\r\n" + get, "", "200 OK"},
		{"chunked", "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + get, "", "200 OK"},
		{"compressed", "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx" + get, "", "415 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := w.wire(t)
			conn.warm()
			before := w.server.FastAnswered()
			conn.send(c.first)
			if c.second != "" {
				// The rest follows once the first piece was read, which nothing tells.
				w.eventually("the connection is reading", func() bool { return w.server.Reading() == 1 })
				conn.send(c.second)
			}
			method, _, _ := strings.Cut(c.first, " ")
			if got := conn.answer(method); !strings.Contains(got, "HTTP/1.1 "+c.want) {
				t.Errorf("first: got %s, want %s", got, c.want)
			}
			if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 200 OK") {
				t.Errorf("second: got %s", got)
			}
			if n := w.server.FastAnswered() - before; n != 0 {
				t.Errorf("%d took the fast path", n)
			}
			conn.send(get)
			if got := conn.answer("GET"); !strings.Contains(got, "HTTP/1.1 200 OK") || w.server.FastAnswered()-before != 1 {
				t.Errorf("afterwards: got %s, %d on the fast path", got, w.server.FastAnswered()-before)
			}
		})
	}
}

// A header that the server reads must reach it on the fast path, or keep the request off it.
// A change that makes the server read one more finds out here what the fast path has to learn.
func TestFastPathDropsNoHeader(t *testing.T) {
	dropped := map[string]bool{"Accept": true, "Accept-Encoding": true} // of which a fast request has no choice
	for i, name := range web.FieldNames() {
		if web.FieldOf(name) != i {
			t.Fatalf("field %d is %q in the list of this test, but not in the server", i, name)
		}
		for _, written := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			got, _, ok := web.ReadFast([]byte("GET /v1/kv/a HTTP/1.1\r\nHost: a\r\n" + written + ": */*\r\n\r\n"))
			if ok && !dropped[name] && string(got.Kept[name]) != "*/*" {
				t.Errorf("%s: is lost on the fast path", written)
			}
		}
	}
	for _, line := range []string{
		"Transfer-Encoding: chunked", "transfer-encoding: identity", "TRAILER: X", "te: trailers", "Expect: 100-continue",
		"Upgrade: websocket", "Connection: close", "Content-Encoding: gzip", "X-Long-" + strings.Repeat("a", 64) + ": b",
	} {
		if _, _, ok := web.ReadFast([]byte("GET /v1/kv/a HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n")); ok {
			t.Errorf("%s: got the fast path", line)
		}
	}
}

// A value that is too large to be copied must go out whole behind its head, and a
// connection must be usable afterwards.
func TestFastPathLargeValue(t *testing.T) {
	t.Run("goroutines", func(t *testing.T) { largeValues(t, newWorld(t, goroutines)) })
	t.Run("loops", func(t *testing.T) { largeValues(t, newWorld(t)) })
}

func largeValues(t *testing.T, w *world) {
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 300_000} {
		value := strings.Repeat("0123456789", size/10+1)[:size]
		w.do("PUT", "/v1/kv/a", value)
		conn := w.wire(t)
		if w.server.Looped() == 0 {
			conn.warm()
		}
		before := w.server.FastAnswered()
		for range 2 {
			conn.send("GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
			if _, body, _ := strings.Cut(conn.answer("GET"), "\n\n"); body != value {
				t.Errorf("%d bytes: got %d others", size, len(body))
			}
		}
		if n := w.server.FastAnswered() - before; n != 2 {
			t.Errorf("%d of 2 took the fast path", n)
		}
	}
}

// A server that stops must finish a request of the fast path that it has begun, although to
// the library below the connection seems idle; and then close the connection.
func TestShutdownFinishesFastRequests(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	log, hub := newStore(t, kv.Params{})
	server, err := web.New(web.Options{
		Store: storeOf(log), Hub: hub, Durability: web.DurabilityMemory, Listen: []string{"127.0.0.1:0"},
		Goroutines: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	w := &world{t: t, log: log, state: log.state, server: server, addr: ln.Addr().String()}
	conn := w.wire(t)
	conn.warm()
	log.fail = func(context.Context, *kv.Command) error {
		close(entered)
		<-leave
		return nil
	}
	conn.send("PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- server.Shutdown(t.Context()) }()
	w.eventually("the connection is closed for fasthttp", server.FastClosing)
	close(leave)
	if got := conn.answer("PUT"); !strings.Contains(got, "HTTP/1.1 201 Created") {
		t.Errorf("got %s", got)
	}
	if _, err := conn.answers.ReadByte(); err != io.EOF {
		t.Errorf("after the answer: %v, want the end", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != web.ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
}

// FuzzFastHead looks for requests that are read in another way than by fasthttp,
// or that fasthttp would refuse: two readers that disagree on where a request
// ends let one smuggle another.
func FuzzFastHead(f *testing.F) {
	for _, request := range fastSession {
		f.Add([]byte(request))
	}
	f.Add([]byte(fastSession[3] + fastSession[0]))
	f.Add([]byte(fastSession[0] + "\r\n" + fastSession[1]))
	f.Add([]byte("GET /v1/kv/a HTTP/1.1\r\nHost: a:b\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("POST /v1/batch HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}"))
	f.Add([]byte("GET /v1/kv/a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer kwk_a\r\nauthorization: Bearer kwk_b\r\n\r\n"))
	f.Add([]byte("GET /v1/kv/a HTTP/1.1\r\nHost: a\r\nAuthorization : Basic Og==\r\nCookie: __Host-keywatch=kws_a; b=c\r\nCookie: __Host-keywatch=kws_b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, n, ok := web.ReadFast(bytes.Clone(b))
		if !ok {
			return
		}
		for i := range n { // wherever it is split, it is not whole before its end, and not given up
			if web.FastGivenUp(b[:i]) {
				t.Fatalf("%q is for the fast path, but not if it is read up to %d", b[:n], i)
			}
		}
		var want fasthttp.Request
		r := bufio.NewReaderSize(bytes.NewReader(b), 1<<20)
		if err := want.Read(r); err != nil || r.Buffered() != len(b)-n {
			t.Fatalf("%q is for the fast path up to %d of %d, but fasthttp says %v and leaves %d bytes", b, n, len(b), err, r.Buffered())
		}
		for _, part := range [][2][]byte{
			{got.Method, want.Header.Method()}, {got.Target, want.Header.RequestURI()},
			{got.Host, want.Header.Host()}, {got.Body, want.Body()},
		} {
			if !bytes.Equal(part[0], part[1]) {
				t.Errorf("%q: got %q, want %q", b, part[0], part[1])
			}
		}
		for _, name := range web.FieldNames() {
			if name == "Accept" || name == "Accept-Encoding" {
				continue
			}
			if fmt.Sprintf("%q", got.Kept[name]) != fmt.Sprintf("%q", want.Header.Peek(name)) {
				t.Errorf("%q: %s is %q, want %q", b, name, got.Kept[name], want.Header.Peek(name))
			}
		}
		if want.URI() == nil || want.Header.ConnectionClose() || len(want.Header.Peek("Expect")) > 0 {
			t.Errorf("%q is not common to fasthttp", b)
		}
	})
}
