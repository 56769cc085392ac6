package reactor_test

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/web/reactor"
)

// If a socket could be served before it has a handler, one that is woken while it
// is being adopted would end the process.
func TestWakeDuringAdopt(t *testing.T) {
	both(t, reactor.Options{}, func(t *testing.T, r *reactor.Reactor) {
		client, server := connect(t)
		s := &speaker{closed: make(chan error, 1)}
		err := r.Adopt(server, nil, func(socket reactor.Socket) reactor.Handler {
			s.socket = socket
			s.say([]byte("early"), true)
			time.Sleep(20 * time.Millisecond) // long enough for a loop that was told to look
			return s
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(client); err != nil || string(got) != "early" {
			t.Errorf("got %q, %v, want what was said while it was adopted", got, err)
		}
		client.Close()
		if err := s.ended(t); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	})
}

// A prompter notes each wake-up. Its timer is an hour away, a bit sooner each time, so that the
// loop waits for another time whenever it waits.
type prompter struct {
	socket reactor.Socket
	asked  atomic.Bool
	filled chan struct{}
	n      time.Duration
}

func (p *prompter) Receive([]byte)   {}
func (p *prompter) Heavy() bool      { return false }
func (p *prompter) Unsent(int) error { return nil }
func (p *prompter) Closed(error)     {}

func (p *prompter) Fill(b []byte, now time.Time) ([]byte, time.Time) {
	if p.asked.Swap(false) {
		p.filled <- struct{}{}
	}
	p.n++
	return b, now.Add(time.Hour - p.n*time.Second)
}

// If a wake-up could be lost while its loop is about to wait, about to wait for another time, or
// woken by something else, an answer that is ready would not be sent before its client says
// something again.
func TestNoWakeIsLost(t *testing.T) {
	both(t, reactor.Options{Loops: 1}, func(t *testing.T, r *reactor.Reactor) {
		p := &prompter{filled: make(chan struct{}, 1)}
		client, server := connect(t)
		if err := r.Adopt(server, nil, func(s reactor.Socket) reactor.Handler { p.socket = s; return p }); err != nil {
			t.Fatal(err)
		}
		ctx, said, began := gate.Context(t), []byte{'x'}, time.Now()
		for i := range 8_000 {
			if i >= 500 && time.Since(began) > 5*time.Second {
				break // one processor that is busy takes milliseconds for each
			}
			for range i % 512 { // meets the loop wherever it is on its way to its wait
				p.asked.Load()
			}
			if i%7 == 0 {
				_, _ = client.Write(said)
			}
			p.asked.Store(true)
			p.socket.Wake()
			select {
			case <-p.filled:
			case <-ctx.Done():
				t.Fatalf("wake-up %d was lost", i)
			}
		}
	})
}
