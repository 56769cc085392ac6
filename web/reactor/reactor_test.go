package reactor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/web/reactor"
)

// secureAll has connect return connections over TLS.
var secureAll bool

// connect returns the two ends of a new connection.
func connect(t *testing.T) (client, server net.Conn) {
	t.Helper()
	if secureAll {
		return overTLS(t)
	}
	return connectTCP(t)
}

// connectTCP returns the two ends of a new TCP connection.
func connectTCP(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	gate.Bound(t, client)
	return client, server
}

// adopt has r serve a new connection with s and returns the other end.
func adopt(t *testing.T, r *reactor.Reactor, s *speaker, early string) net.Conn {
	t.Helper()
	client, server := connect(t)
	s.closed = make(chan error, 1)
	err := r.Adopt(server, []byte(early), func(socket reactor.Socket) reactor.Handler {
		s.socket = socket
		return s
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// both runs a test with sockets that are polled and with goroutines, in clear text and over TLS.
func both(t *testing.T, opts reactor.Options, test func(t *testing.T, r *reactor.Reactor)) {
	for i := range 4 {
		goroutines, secured := i&1 != 0, i&2 != 0
		t.Run(fmt.Sprintf("goroutines=%t,tls=%t", goroutines, secured), func(t *testing.T) {
			opts := opts
			secureAll = secured
			defer func() { secureAll = false }()
			opts.Goroutines = goroutines
			before := runtime.NumGoroutine()
			r := reactor.New(opts)
			test(t, r)
			r.Close()
			r.Close()
			if got := r.Len(); got != 0 {
				t.Errorf("got %d connections after Close, want 0", got)
			}
			until(t, "the end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
		})
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	gate.Until(t, ok, "waited in vain for %s", what)
}

// Without it a stream would lose bytes that the kernel did not take at once, or
// the last ones before it ends.
func TestEverythingIsWritten(t *testing.T) {
	both(t, reactor.Options{SendBuffer: 4 << 10}, func(t *testing.T, r *reactor.Reactor) {
		for _, heavy := range []bool{false, true} {
			s := &speaker{heavy: heavy}
			client := adopt(t, r, s, "")
			want := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
			s.say(want, true)
			got, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("heavy=%t: got %d bytes and %v, want all %d", heavy, len(got), err, len(want))
			}
			client.Close()
			if err := s.ended(t); err != nil {
				t.Errorf("heavy=%t: ended with %v, want nil", heavy, err)
			}
		}
	})
}

// Without it commands on a WebSocket would be lost, those above all that came
// with the handshake.
func TestEverythingIsReceived(t *testing.T) {
	both(t, reactor.Options{}, func(t *testing.T, r *reactor.Reactor) {
		s := new(speaker)
		client := adopt(t, r, s, "early,")
		want := "early,"
		for i := range 2000 {
			piece := fmt.Sprintf("%d,", i)
			want += piece
			if _, err := io.WriteString(client, piece); err != nil {
				t.Fatal(err)
			}
		}
		client.Close()
		if err := s.ended(t); !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v, want EOF", err)
		}
		if got := s.heard(); got != want {
			t.Errorf("got %d bytes, want %d", len(got), len(want))
		}
	})
}

// Without it a client could make the server take in more than it can answer.
func TestPauseStopsReading(t *testing.T) {
	both(t, reactor.Options{}, func(t *testing.T, r *reactor.Reactor) {
		s := new(speaker)
		client := adopt(t, r, s, "")
		io.WriteString(client, "a")
		until(t, "the first byte", func() bool { return s.heard() == "a" })
		s.socket.Pause(true)
		// Far more than all buffers take: only a reader would let it through.
		wrote := make(chan int, 1)
		go func() {
			client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, _ := client.Write(make([]byte, 64<<20))
			wrote <- n
		}()
		n := <-wrote
		if n == 64<<20 {
			t.Error("all was read although reading is paused")
		}
		s.socket.Pause(false)
		until(t, "the rest", func() bool { return len(s.heard()) == n+1 })
	})
}

// Without it a client that does not read would keep its connection for ever.
func TestStalledPeerIsClosed(t *testing.T) {
	both(t, reactor.Options{WriteTimeout: 50 * time.Millisecond, SendBuffer: 4 << 10}, func(t *testing.T, r *reactor.Reactor) {
		s := new(speaker)
		adopt(t, r, s, "")
		s.say(make([]byte, 32<<20), false)
		if err := s.ended(t); !errors.Is(err, reactor.ErrStalled) {
			t.Errorf("ended with %v, want %v", err, reactor.ErrStalled)
		}
		if got := r.Stalled(); got != 1 {
			t.Errorf("counted %d stalled peers, want 1", got)
		}
	})
}

// Without it a server could not get rid of a connection, or stop.
func TestAbortAndClose(t *testing.T) {
	both(t, reactor.Options{}, func(t *testing.T, r *reactor.Reactor) {
		why := errors.New("why")
		s, other := new(speaker), new(speaker)
		adopt(t, r, s, "")
		client := adopt(t, r, other, "")
		s.socket.Abort(why)
		if err := s.ended(t); !errors.Is(err, why) {
			t.Errorf("ended with %v, want %v", err, why)
		}
		r.Close()
		if err := other.ended(t); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("ended with %v, want %v", err, reactor.ErrClosed)
		}
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is open after Close")
		}
		_, conn := connect(t)
		if err := r.Adopt(conn, nil, nil); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("Adopt after Close: %v, want %v", err, reactor.ErrClosed)
		}
		s.socket.Wake() // nothing is to happen
	})
}

// Without it a socket would have to be woken for what it does by the clock.
func TestFillIsCalledAgain(t *testing.T) {
	both(t, reactor.Options{}, func(t *testing.T, r *reactor.Reactor) {
		c := &ticking{}
		client, server := connect(t)
		r.Adopt(server, nil, func(s reactor.Socket) reactor.Handler { c.socket = s; return c })
		got, err := io.ReadAll(client)
		if err != nil || string(got) != "12345" {
			t.Errorf("got %q and %v, want 12345", got, err)
		}
	})
}

// A ticking handler sends a digit each few milliseconds, and finishes.
type ticking struct {
	socket reactor.Socket
	n      byte
	next   time.Time
}

func (c *ticking) Receive([]byte) {}
func (c *ticking) Heavy() bool    { return false }
func (*ticking) Unsent(int) error { return nil }
func (c *ticking) Closed(error)   {}

func (c *ticking) Fill(b []byte, now time.Time) ([]byte, time.Time) {
	if now.Before(c.next) {
		return b, c.next
	}
	c.n++
	if c.n == 5 {
		c.socket.Finish()
	}
	c.next = now.Add(3 * time.Millisecond)
	return append(b, '0'+c.n), c.next
}

// A descriptor that is closed is soon another connection's. Without care one
// client would get what was meant for another.
func TestChurnMixesNobodyUp(t *testing.T) {
	both(t, reactor.Options{}, func(t *testing.T, r *reactor.Reactor) {
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for i := range 50 {
					if err := talk(t, r, fmt.Sprintf("<%d.%d>", worker, i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// talk has a connection send word again and again while the peer leaves.
func talk(t *testing.T, r *reactor.Reactor, word string) error {
	s := new(speaker)
	client := adopt(t, r, s, "")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.say([]byte(word), false)
				runtime.Gosched()
			}
		}
	})
	got := make([]byte, 10*len(word))
	_, err := io.ReadFull(client, got)
	client.Close()
	s.ended(t)
	close(stop)
	wg.Wait()
	if err == nil && string(got) != string(bytes.Repeat([]byte(word), 10)) {
		err = fmt.Errorf("got %q, want %q only", got, word)
	}
	return err
}

// Idle connections are why this package is there.
func TestIdleConnectionsHaveNoGoroutine(t *testing.T) {
	r := reactor.New(reactor.Options{})
	defer r.Close()
	adopt(t, r, new(speaker), "")
	before := runtime.NumGoroutine()
	for range 200 {
		adopt(t, r, new(speaker), "")
	}
	if got := runtime.NumGoroutine(); got > before {
		t.Errorf("got %d goroutines with 200 idle connections, %d without", got, before)
	}
}
