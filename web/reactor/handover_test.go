package reactor_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"keywatch/web/reactor"
)

// A liner is a protocol of lines: it answers each with "<line>", and hands the connection over
// with the first that begins with a '!', and all behind it.
type liner struct {
	socket reactor.Socket
	// part is the beginning of a line, answers is what was asked and not answered.
	part, answers []byte
	handed        bool
	taken         chan taken
}

type taken struct {
	conn net.Conn
	rest string
}

func (l *liner) Receive(p []byte) {
	l.part = append(l.part, p...)
	for !l.handed {
		line, rest, whole := bytes.Cut(l.part, []byte{'\n'})
		if !whole {
			break
		}
		if line[0] == '!' {
			l.handed = true // once what is before it is answered
			break
		}
		l.answers = fmt.Appendf(l.answers, "<%s>\n", line)
		l.part = rest
	}
	l.socket.Wake()
}

func (l *liner) Fill(b []byte, _ time.Time) ([]byte, time.Time) {
	b = append(b, l.answers...)
	l.answers = nil
	if l.handed {
		l.socket.HandOver(func(conn net.Conn) { l.taken <- taken{conn, string(l.part)} })
	}
	return b, time.Time{}
}

func (l *liner) Heavy() bool      { return false }
func (l *liner) Unsent(int) error { return nil }
func (l *liner) Closed(error)     { close(l.taken) }

func adoptLiner(t *testing.T, r *reactor.Reactor) (*liner, net.Conn) {
	t.Helper()
	l := &liner{taken: make(chan taken, 1)}
	client, server := connect(t)
	if err := r.Adopt(server, nil, func(s reactor.Socket) reactor.Handler { l.socket = s; return l }); err != nil {
		t.Fatal(err)
	}
	return l, client
}

// If this failed, requests that are sent without a wait for answers would be answered out of
// order, or twice, or not at all, depending on how they were cut into packets.
func TestRequestsAreAnsweredInOrderAtEverySplit(t *testing.T) {
	both(t, reactor.Options{}, func(t *testing.T, r *reactor.Reactor) {
		const requests, want = "a\nbb\nccc\n", "<a>\n<bb>\n<ccc>\n"
		for split := range len(requests) {
			_, client := adoptLiner(t, r)
			for _, piece := range []string{requests[:split], requests[split:]} {
				if _, err := io.WriteString(client, piece); err != nil {
					t.Fatal(err)
				}
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(client, got); err != nil || string(got) != want {
				t.Errorf("split at %d: got %q, %v, want %q", split, got, err, want)
			}
			client.Close()
		}
	})
}

// If this failed, a connection that is handed over would lose bytes in one direction or the
// other: what was answered before, what was read and not used, what came later.
func TestHandOver(t *testing.T) {
	both(t, reactor.Options{SendBuffer: 4 << 10}, func(t *testing.T, r *reactor.Reactor) {
		l, client := adoptLiner(t, r)
		long := strings.Repeat("x", 1<<20) // more than the kernel takes at once
		go io.WriteString(client, long+"\n!over\nrest")
		answers := bufio.NewReader(client)
		if got, err := answers.ReadString('\n'); err != nil || got != "<"+long+">\n" {
			t.Fatalf("got %d bytes, %v, want %d", len(got), err, len(long)+3)
		}
		got, ok := <-l.taken
		if !ok || !strings.HasPrefix(got.rest, "!over\n") {
			t.Fatalf("got %.20q, %t, want !over", got.rest, ok)
		}
		defer got.conn.Close()
		if r.Len() != 0 {
			t.Errorf("got %d connections, want none", r.Len())
		}
		io.WriteString(client, ", later")
		want := "!over\nrest, later"
		later := make([]byte, len(want)-len(got.rest))
		if _, err := io.ReadFull(got.conn, later); err != nil || got.rest+string(later) != want {
			t.Errorf("got %q, %v, want %q", got.rest+string(later), err, want)
		}
		io.WriteString(got.conn, "hello\n")
		if line, err := answers.ReadString('\n'); err != nil || line != "hello\n" {
			t.Errorf("got %q, %v, want hello", line, err)
		}
		l.socket.Wake() // nothing is to happen
		l.socket.Abort(io.EOF)
	})
}
