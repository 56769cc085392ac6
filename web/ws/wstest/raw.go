package wstest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A Raw is a WebSocket client that says whatever it is told to.
type Raw struct {
	T    testing.TB
	Conn net.Conn
	in   *bufio.Reader
}

// Handshake is a request for a WebSocket, with room for a query.
const Handshake = "GET /v1/ws%s HTTP/1.1\r\nHost: 127.0.0.1:7070\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// Upgrade shakes hands on conn, and sends early with the handshake; query begins with
// a question mark, or is empty.
func Upgrade(t testing.TB, conn net.Conn, query, early string) *Raw {
	t.Helper()
	r := &Raw{T: t, Conn: conn, in: bufio.NewReader(conn)}
	if _, err := fmt.Fprintf(conn, Handshake+"%s", query, early); err != nil {
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

// Masked returns a frame as a client sends it. first is its first byte.
func Masked(first byte, payload string) string {
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

// Text is the first byte of a text message in one frame.
const Text = 0x81

func (r *Raw) Send(bytes string) {
	r.T.Helper()
	if _, err := io.WriteString(r.Conn, bytes); err != nil {
		r.T.Fatalf("write: %v", err)
	}
}

// Frame returns the next frame's first byte and payload; 0 at the end.
func (r *Raw) Frame() (first byte, payload string) {
	r.T.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		if err != io.EOF && !strings.Contains(err.Error(), "closed pipe") {
			r.T.Fatalf("read: %v", err)
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
		r.T.Fatalf("a frame of %d bytes, masked perhaps", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		r.T.Fatalf("read: %v", err)
	}
	return head[0], string(b)
}

// Want checks that the next frames are these, each its first byte and payload.
func (r *Raw) Want(frames ...string) {
	r.T.Helper()
	for _, want := range frames {
		first, payload := r.Frame()
		if got := string(rune(first)) + payload; got != string(rune(want[0]))+want[1:] {
			r.T.Fatalf("got %q, want %q", got, want)
		}
	}
}

// WantClose reads on until a close frame, which must have this code, answers it,
// and checks that the server closes the connection.
func (r *Raw) WantClose(code int) {
	r.T.Helper()
	for {
		first, payload := r.Frame()
		if first == 0 {
			r.T.Fatal("the connection ended without a close frame")
		}
		if first != 0x88 {
			continue
		}
		got := 0
		if len(payload) >= 2 {
			got = int(binary.BigEndian.Uint16([]byte(payload)))
		}
		if got != code {
			r.T.Fatalf("got close code %d %q, want %d", got, payload, code)
		}
		break
	}
	io.WriteString(r.Conn, Masked(0x88, "\x03\xe8"))
	if first, payload := r.Frame(); first != 0 {
		r.T.Fatalf("got %x %q after a close frame", first, payload)
	}
}

// WantOnlyClose is WantClose where nothing else may come.
func (r *Raw) WantOnlyClose(code int) {
	r.T.Helper()
	first, payload := r.Frame()
	if first != 0x88 || len(payload) < 2 || int(payload[0])<<8|int(payload[1]) != code {
		r.T.Fatalf("got %x %q, want the close code %d", first, payload, code)
	}
	io.WriteString(r.Conn, Masked(0x88, payload[:2]))
	if first, payload := r.Frame(); first != 0 {
		r.T.Fatalf("got %x %q after a close frame", first, payload)
	}
}
