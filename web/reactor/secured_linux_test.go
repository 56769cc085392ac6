package reactor_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"keywatch/web/reactor"
)

// A bench is a socket that notes what it is told.
type bench struct {
	finished bool
	failed   error
}

func (b *bench) Wake()                         {}
func (b *bench) WakeAs(reactor.Priority)       {}
func (b *bench) Finish()                       { b.finished = true }
func (b *bench) HandOver(taker func(net.Conn)) {}
func (b *bench) Abort(err error)               { b.failed = err }
func (b *bench) Pause(bool)                    {}

// secureLiner returns a liner over TLS whose bytes the test carries.
func secureLiner(t *testing.T) (*rawClient, reactor.Handler, *bench) {
	t.Helper()
	client, server := rawTLS(t)
	_ = server.Detach().Close()
	b := new(bench)
	l := &liner{taken: make(chan taken, 1)}
	return client, reactor.Secure(server, b, func(s reactor.Socket) reactor.Handler { l.socket = s; return l }), b
}

// If this failed, records would be read in another way depending on where what the network brings is
// cut.
func TestRecordsAtEverySplit(t *testing.T) {
	for split, size := 0, 1; split <= size; split++ {
		c, h, b := secureLiner(t)
		records := c.out.seal(kindData, "one\ntw") + c.out.seal(kindHandshake, keyUpdateAsked)
		c.out.update(t)
		records += c.out.seal(kindData, "o\n")
		size = len(records)
		h.Receive([]byte(records[:split]))
		out, _ := h.Fill(nil, time.Now())
		for i := split; i < size; i++ { // the rest byte by byte
			h.Receive([]byte(records[i : i+1]))
			out, _ = h.Fill(out, time.Now())
		}
		got, r := "", bytes.NewReader(out)
		for {
			kind, data, err := c.in.read(r)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("split at %d: %v after %q", split, err, got)
			}
			if kind == kindHandshake {
				c.in.update(t)
				continue
			}
			got += data
		}
		if got != "<one>\n<two>\n" || b.failed != nil {
			t.Errorf("split at %d: got %q, %v", split, got, b.failed)
		}
	}
}

// FuzzRecords looks for bytes behind a handshake that the server takes for what its peer says, or
// that break it.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x00"), uint8(1))
	f.Add([]byte("\x15\x03\x03\x00\x02\x01\x00"), uint8(2))
	f.Add([]byte("\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x20"), uint8(3))
	f.Add([]byte("\x17\x03\x03\xff\xff"), uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		_, server := overTLS(t)
		_ = server.Detach().Close()
		socket, s := new(bench), &speaker{closed: make(chan error, 1)}
		h := reactor.Secure(server, socket, func(reactor.Socket) reactor.Handler { return s })
		s.socket = socket
		for len(b) > 0 && socket.failed == nil && !socket.finished {
			n := min(len(b), 1+int(cut))
			h.Receive(bytes.Clone(b[:n]))
			h.Fill(nil, time.Now())
			b = b[n:]
		}
		if got := s.heard(); got != "" {
			t.Errorf("received %q, which no peer has sealed", got)
		}
	})
}
