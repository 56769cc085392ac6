package web_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A rawSocket is a WebSocket client that says whatever it is told to.
type rawSocket struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

const handshake = "GET /v1/ws%s HTTP/1.1\r\nHost: 127.0.0.1:7070\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// rawSocket opens a WebSocket on a connection of its own, and sends early with
// the handshake.
func (w *world) rawSocket(query, early string) *rawSocket {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return upgrade(w.t, conn, query, early)
}

func upgrade(t testing.TB, conn net.Conn, query, early string) *rawSocket {
	t.Helper()
	r := &rawSocket{t: t, conn: conn, in: bufio.NewReader(conn)}
	if _, err := fmt.Fprintf(conn, handshake+"%s", query, early); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
		resp.Header.Get("Sec-WebSocket-Protocol") != "" || resp.Header.Get("Content-Type") != "" {
		t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	return r
}

// masked returns a frame as a client sends it. first is its first byte.
func masked(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return string(b)
}

const textFrame = 0x81

func (r *rawSocket) send(bytes string) {
	r.t.Helper()
	if _, err := io.WriteString(r.conn, bytes); err != nil {
		r.t.Fatalf("write: %v", err)
	}
}

// frame returns the next frame's first byte and payload; 0 at the end.
func (r *rawSocket) frame() (first byte, payload string) {
	r.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		if err != io.EOF && !strings.Contains(err.Error(), "closed pipe") {
			r.t.Fatalf("read: %v", err)
		}
		return 0, ""
	}
	n := uint64(head[1])
	var more [8]byte
	switch n {
	case 126:
		io.ReadFull(r.in, more[:2])
		n = uint64(binary.BigEndian.Uint16(more[:]))
	case 127:
		io.ReadFull(r.in, more[:])
		n = binary.BigEndian.Uint64(more[:])
	}
	if n > 64<<20 {
		r.t.Fatalf("a frame of %d bytes, masked perhaps", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		r.t.Fatalf("read: %v", err)
	}
	return head[0], string(b)
}

// want checks that the next frames are these, each its first byte and payload.
func (r *rawSocket) want(frames ...string) {
	r.t.Helper()
	for _, want := range frames {
		first, payload := r.frame()
		if got := string(rune(first)) + payload; got != string(rune(want[0]))+want[1:] {
			r.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantClose reads on until a close frame, which must have this code, answers it,
// and checks that the server closes the connection.
func (r *rawSocket) wantClose(code int) {
	r.t.Helper()
	for {
		first, payload := r.frame()
		if first == 0 {
			r.t.Fatal("the connection ended without a close frame")
		}
		if first != 0x88 {
			continue
		}
		got := 0
		if len(payload) >= 2 {
			got = int(binary.BigEndian.Uint16([]byte(payload)))
		}
		if got != code {
			r.t.Fatalf("got close code %d %q, want %d", got, payload, code)
		}
		break
	}
	io.WriteString(r.conn, masked(0x88, "\x03\xe8"))
	if first, payload := r.frame(); first != 0 {
		r.t.Fatalf("got %x %q after a close frame", first, payload)
	}
}

// rawHead sends bytes and returns the head of the answer.
func (w *world) rawHead(request string) string {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(conn, request)
	var head strings.Builder
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// metric returns a metric without labels.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	for line := range strings.Lines(w.want(200, "GET", "/metrics", "").body) {
		var value float64
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				w.t.Fatal(err)
			}
			return value
		}
	}
	w.t.Fatalf("there is no metric %s", name)
	return 0
}
