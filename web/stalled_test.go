package web_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/web"
)

// A pipes is a listener whose connections are pipes, for the bubble.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7070} }

// served runs test in a bubble, with a server on pipes.
func served(t *testing.T, change func(*web.Options), test func(t *testing.T, dial func() net.Conn)) {
	warm := newWorld(t) // fasthttp starts a goroutine for the date with its first answer
	warm.want(200, "GET", "/healthz", "")
	synctest.Test(t, func(t *testing.T) {
		log, hub := newStore(t, kv.Params{})
		opts := web.Options{
			Store: kv.NewStore(log.state, log, kv.Limits{}), Hub: hub, Durability: web.DurabilityMemory,
			Listen: []string{"127.0.0.1:7070"},
		}
		change(&opts)
		server, err := web.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(ln) }()
		test(t, func() net.Conn {
			client, conn := net.Pipe()
			ln.conns <- conn
			return client
		})
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
		hub.Close()
		time.Sleep(time.Minute) // fasthttp's own goroutines end
	})
}

// If this failed, a body that comes slowly but steadily would be cut, or one that does
// not come on would hold its memory for ever.
func TestBodiesMustComeOn(t *testing.T) {
	head := "PUT /v1/kv/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
	served(t, func(*web.Options) {}, func(t *testing.T, dial func() net.Conn) {
		slow := dial()
		defer slow.Close()
		fmt.Fprintf(slow, head, 26_000)
		for range 26_000 / 200 {
			time.Sleep(10 * time.Second) // 22 minutes in all
			if _, err := io.WriteString(slow, strings.Repeat("z", 200)); err != nil {
				t.Fatal(err)
			}
		}
		answer := make([]byte, 100)
		if n, _ := slow.Read(answer); !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 201 ") {
			t.Errorf("a slow body: got %q", answer[:n])
		}
		stalled := dial()
		defer stalled.Close()
		fmt.Fprintf(stalled, head, 26_000)
		_, _ = io.WriteString(stalled, "z")
		start := time.Now()
		n, _ := stalled.Read(answer)
		if took := time.Since(start); !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 408 ") || took > 62*time.Second || took < 59*time.Second {
			t.Errorf("a body that does not come on: got %q after %v", answer[:n], took)
		}
	})
}

// If this failed, those who hold memory without moving would keep it for a minute from
// others who need it.
func TestStalledBodiesGoSoonerWhileMemoryIsShort(t *testing.T) {
	budget := func(o *web.Options) { o.Budget = ratelimit.NewBudget(4*mib, 0) }
	served(t, budget, func(t *testing.T, dial func() net.Conn) {
		head := "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388608\r\n\r\n"
		start := time.Now()
		ended := make(chan time.Duration, 2)
		for range 2 { // the second finds no room beside the first
			conn := dial()
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, head+strings.Repeat("x", 2*mib))
				_, _ = io.Copy(io.Discard, conn)
				ended <- time.Since(start)
			}()
		}
		for range 2 {
			if took := <-ended; took > 15*time.Second {
				t.Errorf("a body that does not come on was kept for %v", took)
			}
		}
	})
}

// If this failed, an answer that a client reads slowly but steadily would be cut, or one
// that it does not read any more would hold its memory for ever.
func TestProofAnswersMustBeRead(t *testing.T) {
	gate.Long(t)
	const stillMax = 2 * time.Second
	w := newWorld(t, func(o *web.Options) { o.WriteTimeout = stillMax })
	for i := range 8 {
		w.write(fmt.Sprint("v/", i), strings.Repeat("x", mib-100))
	}
	page := func() net.Conn {
		conn := w.open()
		tcpOf(conn).SetReadBuffer(64 << 10)
		fmt.Fprint(conn, "GET /v1/kv?prefix=v/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
		return conn
	}
	slow, start, read := page(), time.Now(), 0
	buf := make([]byte, 512<<10)
	for read < 7*mib {
		n, err := slow.Read(buf)
		if read += n; err != nil {
			t.Fatalf("a page that is read steadily ended after %v and %d bytes: %v", time.Since(start), read, err)
		}
		time.Sleep(stillMax / 16)
	}
	if took := time.Since(start); took < 3*stillMax {
		t.Errorf("the page was read in %v: the test proves nothing", took)
	}
	page() // it is not read
	w.eventually("it is being written", func() bool { return w.metric("keywatch_http_in_flight") == 2 })
	w.eventually("it is given up", func() bool { return w.metric("keywatch_http_in_flight") == 1 })
}
