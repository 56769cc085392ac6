package reactor_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/web/reactor"
)

// overBoth runs a test whose connections are over TLS with loops and with goroutines.
func overBoth(t *testing.T, test func(t *testing.T, r *reactor.Reactor)) {
	for _, goroutines := range []bool{false, true} {
		t.Run(fmt.Sprint("goroutines=", goroutines), func(t *testing.T) {
			r := reactor.New(reactor.Options{Goroutines: goroutines})
			defer r.Close()
			test(t, r)
		})
	}
}

// adoptRaw has r serve a new connection over TLS.
func adoptRaw(t *testing.T, r *reactor.Reactor, handler func(reactor.Socket) reactor.Handler) *rawClient {
	t.Helper()
	client, server := rawTLS(t)
	if err := r.Adopt(server, nil, handler); err != nil {
		t.Fatal(err)
	}
	return client
}

// If this failed, a client that changes its keys, as TLS 1.3 has it after much traffic, would lose its
// connection, or what it says and is told would be lost, depending on how the network cuts it.
func TestKeysChangeAtEverySplit(t *testing.T) {
	overBoth(t, func(t *testing.T, r *reactor.Reactor) {
		for split, size := 1, 2; split < size; split += 3 {
			l := &liner{taken: make(chan taken, 1)}
			c := adoptRaw(t, r, func(s reactor.Socket) reactor.Handler { l.socket = s; return l })
			records := c.out.seal(kindData, "one\n") + c.out.seal(kindHandshake, keyUpdateAsked)
			c.out.update(t)
			records += c.out.seal(kindData, "two\nthr") + c.out.seal(kindHandshake, keyUpdate)
			c.out.update(t)
			records += c.out.seal(kindData, "ee\n")
			size = len(records)
			c.say(t, records[:split])
			c.say(t, records[split:])
			got := ""
			for updates := 0; got != "<one>\n<two>\n<three>\n" || updates == 0; {
				kind, data := c.next(t)
				switch {
				case kind == kindHandshake && data == keyUpdate:
					c.in.update(t)
					updates++
				case kind == kindData:
					got += data
				default:
					t.Fatalf("split at %d: got a record of kind %d, %q after %q", split, kind, data, got)
				}
			}
			c.Close()
		}
	})
}

// If this failed, a peer that breaks the protocol would keep its connection, or not learn why it is
// closed.
func TestBrokenRecordsEndTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		send  func(*rawClient) string
		alert byte
	}{
		"a changed record": {func(c *rawClient) string {
			record := []byte(c.out.seal(kindData, "hello"))
			record[7] ^= 1
			return string(record)
		}, 20},
		"a length that is too large": {func(*rawClient) string { return "\x17\x03\x03\xff\xff" }, 22},
		"another handshake":          {func(c *rawClient) string { return c.out.seal(kindHandshake, "\x01\x00\x00\x02\x03\x03") }, 50},
		"clear text":                 {func(*rawClient) string { return "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" }, 70},
		"an unknown kind":            {func(c *rawClient) string { return c.out.seal(99, "hello") }, 10},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, r *reactor.Reactor) {
				s := &speaker{closed: make(chan error, 1)}
				client := adoptRaw(t, r, func(socket reactor.Socket) reactor.Handler { s.socket = socket; return s })
				client.say(t, c.send(client))
				if kind, data := client.next(t); kind != kindAlert || len(data) != 2 || data[1] != c.alert {
					t.Errorf("got a record of kind %d, %q, want alert %d", kind, data, c.alert)
				}
				client.Close()
				if err := s.ended(t); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("ended with %v, want why", err)
				}
				if s.heard() != "" {
					t.Errorf("received %q", s.heard())
				}
			})
		})
	}
}

// If this failed, a client that says that it leaves would keep what it holds until its connection is
// gone as well.
func TestPeerThatSaysThatItEndsHasLeft(t *testing.T) {
	overBoth(t, func(t *testing.T, r *reactor.Reactor) {
		s := &speaker{closed: make(chan error, 1)}
		c := adoptRaw(t, r, func(socket reactor.Socket) reactor.Handler { s.socket = socket; return s })
		c.say(t, c.out.seal(kindData, "last")+c.out.seal(kindAlert, closeNotify))
		if err := s.ended(t); !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v, want EOF", err)
		}
		if got := s.heard(); got != "last" {
			t.Errorf("received %q, want last", got)
		}
	})
}

// If this failed, a client could not tell the end of a stream from a connection that was cut.
func TestTheEndIsSaid(t *testing.T) {
	overBoth(t, func(t *testing.T, r *reactor.Reactor) {
		s := &speaker{closed: make(chan error, 1)}
		c := adoptRaw(t, r, func(socket reactor.Socket) reactor.Handler { s.socket = socket; return s })
		s.say([]byte("all"), true)
		if kind, data := c.next(t); kind != kindData || data != "all" {
			t.Errorf("got a record of kind %d, %q, want all", kind, data)
		}
		if kind, data := c.next(t); kind != kindAlert || data != closeNotify {
			t.Errorf("got a record of kind %d, %q, want the end", kind, data)
		}
		c.Close()
		if err := s.ended(t); err != nil {
			t.Errorf("ended with %v, want nil", err)
		}
	})
}

// A lingerer answers what it was asked by a peer that sends nothing more, and then ends.
type lingerer struct {
	*liner
	ended bool
}

func (l *lingerer) Ended() bool {
	l.ended = true
	l.socket.Wake()
	return true
}

func (l *lingerer) Stays() bool { return true }

func (l *lingerer) Fill(b []byte, now time.Time) ([]byte, time.Time) {
	b, again := l.liner.Fill(b, now)
	if l.ended {
		l.socket.Finish()
	}
	return b, again
}

// If this failed, a client that sends a request and says that this was all would get no answer.
func TestPeerThatSaysThatItEndsIsAnswered(t *testing.T) {
	r := reactor.New(reactor.Options{})
	defer r.Close()
	l := &lingerer{liner: &liner{taken: make(chan taken, 1)}}
	c := adoptRaw(t, r, func(s reactor.Socket) reactor.Handler { l.socket = s; return l })
	c.say(t, c.out.seal(kindData, "ask\n")+c.out.seal(kindAlert, closeNotify))
	if kind, data := c.next(t); kind != kindData || data != "<ask>\n" {
		t.Errorf("got a record of kind %d, %q, want <ask>", kind, data)
	}
	if kind, data := c.next(t); kind != kindAlert || data != closeNotify {
		t.Errorf("got a record of kind %d, %q, want the end", kind, data)
	}
}

// A holder notes what is held for it.
type holder struct {
	*speaker
	holds atomic.Int64
	most  int
}

func (h *holder) Holds(n int) error {
	h.holds.Store(int64(n))
	if n > h.most {
		return errTooMuch
	}
	return nil
}

func adoptHolder(t *testing.T, r *reactor.Reactor, most int) (*holder, *rawClient) {
	h := &holder{speaker: &speaker{closed: make(chan error, 1)}, most: most}
	c := adoptRaw(t, r, func(socket reactor.Socket) reactor.Handler { h.socket = socket; return h })
	return h, c
}

// If this failed, many peers that each begin something and do not end it would take memory that
// is not counted.
func TestWhatPeersBeginIsCounted(t *testing.T) {
	r := reactor.New(reactor.Options{})
	defer r.Close()
	h, c := adoptHolder(t, r, 1<<20)
	until(t, "an idle connection is counted", func() bool { return h.holds.Load() == reactor.TLSCost })
	record := c.out.seal(kindData, strings.Repeat("x", 16<<10))
	c.say(t, record[:12<<10])
	until(t, "a part of a record is counted", func() bool { return h.holds.Load() >= reactor.TLSCost+12<<10 })
	c.say(t, record[12<<10:])
	until(t, "a whole one is received", func() bool { return len(h.heard()) == 16<<10 })
	until(t, "only the buffer of TLS is counted", func() bool { return h.holds.Load() < reactor.TLSCost+32<<10 })
	message := "\x18\x00\xff\xff" + strings.Repeat("x", 12<<10)
	h, c = adoptHolder(t, r, reactor.TLSCost+64<<10)
	for range 4 { // fewer if it is too much before
		if _, err := io.WriteString(c, c.out.seal(kindHandshake, message[:12<<10])); err != nil {
			break
		}
	}
	if err := h.ended(t); !errors.Is(err, errTooMuch) {
		t.Errorf("ended with %v, want %v", err, errTooMuch)
	}
}

// If this failed, a peer that asks for new keys and reads nothing would have the server keep what it
// has to answer.
func TestAnswersToNewKeysAreBounded(t *testing.T) {
	r := reactor.New(reactor.Options{SendBuffer: 4 << 10})
	defer r.Close()
	h, c := adoptHolder(t, r, 1<<30)
	h.say(make([]byte, 8<<20), false) // more than the kernel takes
	until(t, "something is unsent", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.mu.unsent > 0 })
	var err error
	for range 10_000 {
		records := c.out.seal(kindHandshake, keyUpdateAsked)
		c.out.update(t)
		if _, err = io.WriteString(c, records+c.out.seal(kindData, "x")); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("10,000 requests for new keys were accepted of a peer that reads nothing")
	}
	if err := h.ended(t); err == nil {
		t.Error("got nil, want why it ended")
	}
}

// If this failed, what travels over TLS would be lost, doubled or mixed up by how it is cut, in either
// direction, while both sides say much.
func TestTLSCarriesEverything(t *testing.T) {
	random := rand.New(rand.NewPCG(gate.Seed(t), 1))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		overBoth(t, func(t *testing.T, r *reactor.Reactor) {
			client, server := overTLS(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
			s := &speaker{closed: make(chan error, 1)}
			if err := r.Adopt(server, nil, func(socket reactor.Socket) reactor.Handler { s.socket = socket; return s }); err != nil {
				t.Fatal(err)
			}
			var said, told strings.Builder
			for range 60 {
				piece := strings.Repeat(fmt.Sprint(random.Uint32()), 1+random.IntN(1<<random.IntN(12)))
				said.WriteString(piece)
				s.say([]byte(piece), false)
				piece = strings.Repeat(fmt.Sprint(random.Uint32()), 1+random.IntN(1<<random.IntN(10)))
				told.WriteString(piece)
				if _, err := io.WriteString(client, piece); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "all that was sent is received", func() bool { return s.heard() == told.String() })
			s.say(nil, true)
			if got, err := io.ReadAll(client); err != nil || string(got) != said.String() {
				t.Errorf("was told %d bytes, %v, want %d", len(got), err, said.Len())
			}
			client.Close()
			if err := s.ended(t); err != nil {
				t.Errorf("ended with %v, want nil", err)
			}
		})
	}
}
