package reactor_test

import (
	"io"
	"testing"
	"time"

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
