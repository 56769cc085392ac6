package web_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/web"
	"keywatch/web/reactor"
)

// shaken returns how many handshakes ended in some way.
func (w *world) shaken(result string) int {
	w.t.Helper()
	var n int
	for line := range strings.Lines(w.want(200, "GET", "/metrics", "").body) {
		if rest, ok := strings.CutPrefix(line, `keywatch_tls_handshakes_total{result="`+result+`"} `); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return n
}

// If this failed, what a client is told would depend on whether it came over TLS, on the fast path or
// off it.
func TestAnswersOverTLSAreTheSame(t *testing.T) {
	clear, secured := newWorld(t, inClear, goroutines), newWorld(t, secure)
	plain, over := clear.wire(t), secured.wire(t)
	plain.warm()
	over.warm()
	for _, request := range fastSession {
		method, _, _ := strings.Cut(request, " ")
		plain.send(request)
		over.send(request)
		if got, want := over.answer(method), plain.answer(method); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", request, got, want)
		}
	}
	if got := secured.server.FastAnswered(); got != int64(len(fastSession)) {
		t.Errorf("%d of %d requests took the fast path", got, len(fastSession))
	}
}

// If this failed, requests that are sent without a wait for answers would be lost or mixed up,
// depending on how they are cut into records.
func TestPipelinedRequestsOverTLSAtEverySplit(t *testing.T) {
	w := newWorld(t, secure)
	requests := "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\none" +
		"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n" + "DELETE /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for split := 1; split < len(requests); split += 5 {
		c := w.wire(t)
		c.send(requests[:split])
		c.send(requests[split:])
		for _, want := range []struct{ method, status string }{{"PUT", "201"}, {"GET", "200"}, {"DELETE", "204"}} {
			if got := c.answer(want.method); !strings.Contains(got, "HTTP/1.1 "+want.status) {
				t.Fatalf("split at %d, %s: got %s, want %s", split, want.method, got, want.status)
			}
		}
		c.conn.Close()
	}
}

// If this failed, who gives http instead of https would see an error of the connection, which says
// nothing; and what does not speak TLS at all would be answered as if it were HTTP.
func TestClearTextOnATLSPort(t *testing.T) {
	w := newWorld(t, secure)
	for _, c := range []struct{ send, want string }{
		{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		{"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n" + strings.Repeat("x", 9000), "https://"},
		{"*1\r\n$4\r\nPING\r\n", ""},
	} {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		gate.Bound(t, conn)
		if _, err := io.WriteString(conn, c.send); err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(conn) // a reset is an end as well
		if conn.Close(); !strings.Contains(string(got), c.want) || c.want == "" && len(got) > 0 {
			t.Errorf("%.20q: got %q, want %q", c.send, got, c.want)
		}
	}
	if rev := w.state.Position().Rev; rev != 0 {
		t.Errorf("something was written in clear text: revision %d", rev)
	}
	w.eventually("all are counted", func() bool { return w.shaken("clear_text") == 3 })
	if n := w.server.Refused("bad_request"); n != 2 {
		t.Errorf("%d were refused, want 2", n)
	}
}

// If this failed, clients that begin a handshake and do not end it would keep connections for ever,
// or no operator would see that they do.
func TestSlowHandshakesEnd(t *testing.T) {
	w := newWorld(t, secure, func(o *web.Options) { o.ReadTimeout = 40 * time.Millisecond })
	for _, begin := range []string{"", "\x16\x03\x01\x02\x00\x01\x00"} {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		gate.Bound(t, conn)
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
			t.Errorf("after %q: got %q, %v, want the end", begin, got, err)
		}
		conn.Close()
	}
	if n := w.shaken("timeout"); n != 2 {
		t.Errorf("%d handshakes ended by time, want 2", n)
	}
	w.eventually("they are counted as slow requests", func() bool { return w.server.Refused("request_timeout") == 2 })
}

// If this failed, an operator would not learn why clients do not get in.
func TestHandshakesAreCountedByResult(t *testing.T) {
	w := newWorld(t, secure, func(o *web.Options) {
		_, clients := gate.TLS(t)
		o.TLS.ClientAuth, o.TLS.ClientCAs = tls.VerifyClientCertIfGiven, clients.RootCAs
	})
	shake := func(change func(*tls.Config)) {
		config := w.tls.Clone()
		change(config)
		conn, err := tls.Dial("tcp", w.addr, config)
		if err == nil { // in TLS 1.3 a client learns of a refusal once it reads
			gate.Bound(t, conn)
			_, _ = io.ReadAll(conn)
			conn.Close()
		}
	}
	shake(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() })
	shake(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 })
	stranger := gate.Certificate(t)
	shake(func(c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
	})
	left, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	left.Close()
	for _, result := range []string{"rejected", "failed", "client_certificate", "left", "ok"} {
		w.eventually(result+" is counted", func() bool { return w.shaken(result) == 1 })
	}
}

// If this failed, a page that was loaded over http, which anyone on the way can change, could use the
// server with what it gets over https.
func TestOriginsOverTLS(t *testing.T) {
	w := newWorld(t, secure)
	w.want(201, "PUT", "/v1/kv/a", "1", "Origin", "https://"+w.addr)
	w.refused(403, "origin_not_allowed", "PUT", "/v1/kv/a", "2", "Origin", "http://"+w.addr)
}

// If this failed, clients would speak HTTP/2 to a server that does not, or resume sessions that a
// certificate began which counts no longer.
func TestNeitherHTTP2NorResumption(t *testing.T) {
	server, client := gate.TLS(t)
	server.NextProtos = []string{"h2", "http/1.1"}
	var asked atomic.Int64
	for name, change := range map[string]func(*web.Options){
		"the same for all": func(o *web.Options) { o.TLS = server },
		"by the client": func(o *web.Options) {
			o.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				asked.Add(1)
				return server, nil
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change)
			client.NextProtos, client.ClientSessionCache = []string{"h2", "http/1.1"}, tls.NewLRUClientSessionCache(8)
			for range 2 {
				conn, err := tls.Dial("tcp", w.addr, client)
				if err != nil {
					t.Fatal(err)
				}
				gate.Bound(t, conn)
				fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
				answer, err := io.ReadAll(conn)
				if state := conn.ConnectionState(); err != nil || state.NegotiatedProtocol != "http/1.1" || state.DidResume {
					t.Errorf("got %q, resumed %t, %v", state.NegotiatedProtocol, state.DidResume, err)
				}
				if !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
					t.Errorf("got %q", answer)
				}
				conn.Close()
			}
		})
	}
	if asked.Load() != 2 {
		t.Errorf("asked %d times for a configuration, want 2", asked.Load())
	}
}

// If this failed, a server that stops would wait for clients which do not read, or a client could not
// tell that it was told all of an answer.
func TestShutdownOverTLS(t *testing.T) {
	w := newWorld(t, secure)
	w.want(201, "PUT", "/v1/kv/a", strings.Repeat("v", 1<<20))
	idle, deaf := w.wire(t), w.wire(t)
	idle.warm()
	for range 16 {
		deaf.send("GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	if err := w.server.Shutdown(gate.Context(t)); err == nil {
		t.Log("all answers fitted into the kernel's buffers")
	}
	if _, err := idle.answers.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want the end as TLS says it", err)
	}
}

// If this failed, connections above the bound would be answered in clear text, or cost a handshake each.
func TestTooManyConnectionsOverTLS(t *testing.T) {
	w := newWorld(t, secure, func(o *web.Options) { o.MaxConnections = 1 })
	var open []net.Conn
	refused := func() bool {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		return w.server.Refused("too_many_connections") > 0
	}
	w.eventually("a connection is refused", refused)
	for _, conn := range open {
		conn.Close()
	}
	w.eventually("the server can be used again", func() bool {
		resp, err := w.client.Get(w.base + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

// tlsHead opens a connection over TLS of one version, and returns a reader of what it answers.
func (w *world) tlsHead(version uint16, request string) (*tls.Conn, *http.Response) {
	w.t.Helper()
	config := w.tls.Clone()
	config.MinVersion, config.MaxVersion = version, version
	conn, err := tls.Dial("tcp", w.addr, config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	gate.Bound(w.t, conn)
	fmt.Fprint(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn, resp
}

// If this failed, clients that speak TLS 1.2 only would not get in.
func TestVersionsOfTLS(t *testing.T) {
	w := newWorld(t, secure)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, resp := w.tlsHead(version, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if got := conn.ConnectionState().Version; got != version || resp.StatusCode != 200 {
			t.Errorf("got %s and %d", tls.VersionName(got), resp.StatusCode)
		}
	}
}

// If this failed, a browser could not log in at a server that does TLS itself.
func TestSessionCookieOverTLS(t *testing.T) {
	s := newSecured(t, secure)
	s.person("ann")
	r := s.want(200, "POST", "/v1/auth/login", fmt.Sprintf(`{"user":"ann","password":%q,"cookie":true}`, password))
	pair, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	s.want(200, "GET", "/v1/auth/whoami", "", "Sec-Fetch-Site", "same-origin", "Cookie", pair)
	s.want(200, "GET", "/v1/auth/whoami", "", "Origin", "https://"+s.addr, "Cookie", pair)
	s.want(401, "GET", "/v1/auth/whoami", "", "Sec-Fetch-Site", "cross-site", "Cookie", pair)
	s.want(403, "GET", "/v1/auth/whoami", "", "Origin", "http://"+s.addr, "Cookie", pair)
}

// If this failed, each client that watches over TLS would cost a goroutine, its stack and its buffers.
func TestWatchersOverTLSHaveNoGoroutine(t *testing.T) {
	w := newWorld(t, secure)
	w.want(201, "PUT", "/v1/kv/a", "1")
	open := func() {
		if s := w.tail("/v1/watch?key=a&state=0"); s.resp.StatusCode != 200 {
			t.Fatalf("got %d", s.resp.StatusCode)
		}
		w.rawSocket("?key=a&state=0", "")
	}
	open() // the loops
	w.eventually("the handshakes are over", func() bool { return w.server.Reading() == 0 })
	before := runtime.NumGoroutine()
	const more = 30
	for range more {
		open()
	}
	w.eventually("what handshakes needed is gone", func() bool { return runtime.NumGoroutine() < before+more })
	if n := w.server.Streams(); n != more+1 {
		t.Errorf("%d streams are open, want %d", n, more+1)
	}
}

// If this failed, watchers over TLS would make the server hold memory that is not counted, or keep it
// when they leave.
func TestWatchersOverTLSAreCharged(t *testing.T) {
	budget := ratelimit.NewBudget(64<<20, 0)
	charged := func() int64 { return budget.Stats().Used[ratelimit.Connections] }
	w := newWorld(t, secure, func(o *web.Options) { o.Budget = budget })
	s := w.tail("/v1/watch?key=a&state=0")
	w.eventually("a stream is charged", func() bool { n := charged(); return n >= reactor.TLSCost && n < 2*reactor.TLSCost })
	c := w.rawSocket("?key=a&state=0", "")
	w.eventually("a socket is charged", func() bool { n := charged(); return n >= 2*reactor.TLSCost && n < 3*reactor.TLSCost })
	s.conn.Close()
	c.Conn.Close()
	w.eventually("nothing is charged", func() bool { return charged() == 0 })
}

// If this failed, events would be lost, doubled or mixed up over TLS, for watchers that read and that do
// not at first.
func TestEventsOverTLSKeepTheirOrder(t *testing.T) {
	w := newWorld(t, secure)
	var tails []*tail
	for range 4 {
		tails = append(tails, w.tail("/v1/watch?key=a&state=0", "Accept: application/x-ndjson"))
	}
	const events, size = 60, 40_000 // more than the kernel takes for one that does not read
	for i := range events {
		w.do("PUT", "/v1/kv/a", fmt.Sprintf("%04d", i)+strings.Repeat("v", size))
	}
	for _, s := range tails {
		for next := 0; next < events; {
			line, err := s.body.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			_, value, ok := strings.Cut(line, `"value":"`)
			if !ok {
				continue
			}
			if got, want := value[:4], fmt.Sprintf("%04d", next); got != want {
				t.Fatalf("got value %s, want %s", got, want)
			}
			next++
		}
	}
}
