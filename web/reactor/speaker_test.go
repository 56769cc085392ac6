package reactor_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/web/reactor"
)

var errTooMuch = errors.New("too much is unsent")

// A speaker is a Handler that sends what it is told to, and notes the rest.
type speaker struct {
	socket reactor.Socket
	heavy  bool
	// most, if not 0, is how many bytes may be unsent.
	most   int
	closed chan error // sent once

	mu struct {
		sync.Mutex
		queue    []byte
		received []byte
		finish   bool
		unsent   int
		// inside counts the methods that run, overlaps how often two did.
		inside, overlaps int
	}
}

func (s *speaker) enter() func() {
	s.mu.Lock()
	if s.mu.inside++; s.mu.inside > 1 {
		s.mu.overlaps++
	}
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.mu.inside--
		s.mu.Unlock()
	}
}

func (s *speaker) Receive(p []byte) {
	defer s.enter()()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.received = append(s.mu.received, p...)
}

func (s *speaker) Fill(b []byte, now time.Time) ([]byte, time.Time) {
	defer s.enter()()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.mu.queue), reactor.Piece)
	b = append(b, s.mu.queue[:n]...)
	s.mu.queue = s.mu.queue[n:]
	if len(s.mu.queue) > 0 {
		return b, now
	}
	if s.mu.finish {
		s.socket.Finish()
	}
	return b, time.Time{}
}

func (s *speaker) Heavy() bool { return s.heavy }

func (s *speaker) Unsent(n int) error {
	defer s.enter()()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.unsent = n
	if s.most > 0 && n > s.most {
		return errTooMuch
	}
	return nil
}

func (s *speaker) Closed(err error) {
	defer s.enter()()
	s.closed <- err
}

func (s *speaker) say(p []byte, finish bool) {
	s.mu.Lock()
	s.mu.queue = append(s.mu.queue, p...)
	s.mu.finish = finish
	s.mu.Unlock()
	s.socket.Wake()
}

func (s *speaker) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.mu.received)
}

// ended waits for the end and returns why it came.
func (s *speaker) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.closed:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.mu.overlaps > 0 {
			t.Errorf("%d methods ran while another did", s.mu.overlaps)
		}
		return err
	case <-gate.Context(t).Done():
		t.Fatal("the handler was not told of the end")
		return nil
	}
}
