package reactor_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"keywatch/web/reactor"
	"keywatch/web/tlsconn"
)

// If this failed, a socket that is not read from, because too much of what it has
// asked is under way, would keep its leases and places in queues long after its client
// has left.
func TestPeerThatLeavesWhilePausedIsNoticed(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn) error{
		"FIN": (*net.TCPConn).CloseWrite,
		"RST": func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, reactor.Options{}, func(t *testing.T, r *reactor.Reactor) {
				s := &speaker{}
				client := adopt(t, r, s, "")
				s.socket.Pause(true)
				if _, err := client.Write([]byte("not read any more")); err != nil {
					t.Fatal(err)
				}
				if err := leave(tlsconn.Under(client).(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
				if err := s.ended(t); err == nil {
					t.Error("got nil, want why it ended")
				}
				if got := s.heard(); got != "" && got != "not read any more" {
					t.Errorf("received %q", got)
				}
			})
		})
	}
}

// If this failed, what peers do not read would be kept although there is no memory for
// it, or what was kept would count for ever.
func TestUnsentIsToldAndRefused(t *testing.T) {
	both(t, reactor.Options{SendBuffer: 4 << 10}, func(t *testing.T, r *reactor.Reactor) {
		s := &speaker{}
		client := adopt(t, r, s, "")
		s.say(make([]byte, 8<<20), true)
		if n, err := io.Copy(io.Discard, client); n != 8<<20 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		client.Close()
		if err := s.ended(t); err != nil || s.mu.unsent != 0 {
			t.Errorf("got %v, %d bytes unsent, want none", err, s.mu.unsent)
		}
		full := &speaker{most: 1}
		adopt(t, r, full, "")
		full.say(make([]byte, 16<<20), false)
		if err := full.ended(t); !errors.Is(err, errTooMuch) {
			t.Errorf("got %v, want %v", err, errTooMuch)
		}
	})
}

// If this failed, peers that do not read would keep memory for a minute although
// others have none.
func TestStalledPeersAreGivenUpSoonerWhileMemoryIsShort(t *testing.T) {
	opts := reactor.Options{
		SendBuffer: 4 << 10, WriteTimeout: time.Hour,
		Short: func() bool { return true }, ShortTimeout: 20 * time.Millisecond,
	}
	both(t, opts, func(t *testing.T, r *reactor.Reactor) {
		s := &speaker{}
		adopt(t, r, s, "")
		s.say(make([]byte, 16<<20), false)
		if err := s.ended(t); !errors.Is(err, reactor.ErrStalled) {
			t.Errorf("got %v, want %v", err, reactor.ErrStalled)
		}
	})
}
