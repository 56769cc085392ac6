//go:build unix

package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"keywatch/kv"
	"keywatch/test/cputime"
	"keywatch/web"
)

// wireKeys is how many keys the requests of a benchmark name in turn.
const wireKeys = 4096

// A replay is a connection that has the same requests again and again, and takes
// every answer: what is left is what a server spends on them in user space.
type replay struct {
	requests [][]byte
	left     int
	rest     []byte // of the request that is being read
	answer   []byte // the first, for a look
	writes   int
	done     chan struct{} // closed by Close
	once     sync.Once
}

func (c *replay) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if len(c.rest) == 0 {
		c.rest = c.requests[c.left%len(c.requests)]
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.left--
	}
	return n, nil
}

func (c *replay) Write(p []byte) (int, error) {
	if c.writes == 0 {
		c.answer = append(c.answer, p...)
	}
	c.writes++
	return len(p), nil
}

func (c *replay) Close() error                     { c.once.Do(func() { close(c.done) }); return nil }
func (c *replay) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7070} }
func (c *replay) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000} }
func (c *replay) SetDeadline(time.Time) error      { return nil }
func (c *replay) SetReadDeadline(time.Time) error  { return nil }
func (c *replay) SetWriteDeadline(time.Time) error { return nil }

// A oneListener hands out the connections sent to it.
type oneListener struct {
	conns  chan net.Conn
	closed chan struct{} // closed by Close
	once   sync.Once
}

func newOneListener() *oneListener {
	return &oneListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneListener) Addr() net.Addr { return (&replay{}).LocalAddr() }

// play sends n requests over one connection and waits until it is closed.
func (l *oneListener) play(n int, requests [][]byte) *replay {
	c := &replay{requests: requests, left: n, done: make(chan struct{})}
	l.conns <- c
	<-c.done
	return c
}

// wireRequests returns the requests that wrk would send.
func wireRequests(method, body string) (requests [][]byte) {
	for i := range wireKeys {
		head := fmt.Sprintf("%s /v1/kv/bench/%d HTTP/1.1\r\nHost: 127.0.0.1:7070\r\n", method, i)
		if body != "" {
			head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
		requests = append(requests, []byte(head+"\r\n"+body))
	}
	return requests
}

// measure plays b.N requests and checks the first answer.
func (l *oneListener) measure(b *testing.B, requests [][]byte, want string) {
	b.ReportAllocs()
	b.ResetTimer()
	began := cputime.Used()
	c := l.play(b.N, requests)
	b.ReportMetric(float64(cputime.Used()-began)/float64(b.N), "cpu-ns/op")
	b.StopTimer()
	if c.writes < b.N || !strings.Contains(string(c.answer), want) {
		b.Fatalf("%d writes for %d requests, the first %q", c.writes, b.N, c.answer)
	}
}

// newWire returns a server on such a listener, with all keys written.
func newWire(b *testing.B) *oneListener {
	log, hub := newStore(b, kv.Params{})
	s, err := web.New(web.Options{Store: kv.NewStore(log.state, log, kv.Limits{}), Hub: hub, Listen: []string{"127.0.0.1:7070"}})
	if err != nil {
		b.Fatal(err)
	}
	l := newOneListener()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	b.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), ignore(<-served, web.ErrServerClosed)); err != nil {
			b.Error(err)
		}
	})
	l.play(wireKeys, wireRequests("PUT", strings.Repeat("v", 128)))
	return l
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// BenchmarkWireGet is a read with all of HTTP but the kernel's part.
func BenchmarkWireGet(b *testing.B) {
	newWire(b).measure(b, wireRequests("GET", ""), "\r\nETag: ")
}

// BenchmarkWirePut is a write in the same way, without a log.
func BenchmarkWirePut(b *testing.B) {
	newWire(b).measure(b, wireRequests("PUT", strings.Repeat("v", 128)), `"created":false`)
}

// BenchmarkWireBatch is a batch of 100 puts in the same way.
func BenchmarkWireBatch(b *testing.B) {
	var requests [][]byte
	for i := range 64 {
		var ops []string
		for j := range 100 {
			ops = append(ops, fmt.Sprintf(`{"op":"put","key":"bench/%d","value":"%s"}`, (i*61+j*7)%wireKeys, strings.Repeat("v", 128)))
		}
		body := `{"ops":[` + strings.Join(ops, ",") + `]}`
		requests = append(requests, fmt.Appendf(nil, "POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1:7070\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	}
	newWire(b).measure(b, requests, `"committed":true`)
}

// BenchmarkWireBare is what the HTTP library alone takes: a fiber handler that
// answers with a value of the same size.
func BenchmarkWireBare(b *testing.B) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	value := []byte(strings.Repeat("v", 128))
	app.Get("/v1/kv/*", func(c *fiber.Ctx) error { return c.Send(value) })
	l := newOneListener()
	served := make(chan error, 1)
	go func() { served <- app.Listener(l) }()
	b.Cleanup(func() {
		_ = app.Shutdown()
		<-served
	})
	l.measure(b, wireRequests("GET", ""), "vvv")
}
