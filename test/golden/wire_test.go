package golden_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// patience bounds everything that is waited for: a bit less than a test run.
const patience = 9 * time.Minute

// A wire is one connection to a server, as bytes.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	// heads tells for each request that was sent and not answered whether it was
	// HEAD, whose answer has no body.
	heads []bool
	// over says that the last answer was the last.
	over bool
	// framed says that the connection is a WebSocket now.
	framed bool
	// body is the rest of a stream whose head was read, nil before; gap is what
	// ends each of its events.
	body io.ByteReader
	gap  string
}

func dial(addr string) (*wire, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, in: bufio.NewReader(conn)}, conn.SetDeadline(time.Now().Add(patience))
}

var requestLine = regexp.MustCompile(`([A-Z]+) \S+ HTTP/1\.[01]\r\n`)

func (w *wire) send(text string) error {
	for _, line := range requestLine.FindAllStringSubmatch(text, -1) {
		w.heads = append(w.heads, line[1] == "HEAD")
	}
	_, err := io.WriteString(w.conn, text)
	return err
}

// frame sends a WebSocket frame.
func (w *wire) frame(first byte, payload string) error {
	b := []byte{first}
	if n := len(payload); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	_, err := w.conn.Write(b)
	return err
}

// readFrame returns the first byte and the payload of the next frame.
func (w *wire) readFrame() (first byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return 0, "", err
	}
	size := uint64(head[1])
	if size >= 126 {
		long := make([]byte, []int{2, 8}[size-126])
		if _, err := io.ReadFull(w.in, long); err != nil {
			return 0, "", err
		}
		size = 0
		for _, b := range long {
			size = size<<8 | uint64(b)
		}
	}
	b := make([]byte, size)
	_, err = io.ReadFull(w.in, b)
	return head[0], string(b), err
}

// readHead returns the head of an answer.
func (w *wire) readHead() (string, error) {
	var head strings.Builder
	for {
		line, err := w.in.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return head.String(), fmt.Errorf("after %q: %w", head.String(), err)
		}
		if line == "\r\n" {
			return head.String(), nil
		}
	}
}

// field returns a header of an answer's head, "" if it has none.
func field(head, name string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return value
		}
	}
	return ""
}

// readAnswer returns the head and the body of an answer as they were sent.
func (w *wire) readAnswer() (head, body string, err error) {
	if head, err = w.readHead(); err != nil {
		return head, "", err
	}
	status, _, _ := strings.Cut(strings.TrimPrefix(head[:min(len(head), 12)], "HTTP/1.1 "), " ")
	if status == "100" {
		return head, "", nil
	}
	w.over = field(head, "Connection") == "close"
	w.framed = status == "101"
	bare := status == "101" || status == "204" || status == "304"
	if len(w.heads) > 0 {
		bare, w.heads = bare || w.heads[0], w.heads[1:]
	}
	switch length := field(head, "Content-Length"); {
	case bare:
	case field(head, "Transfer-Encoding") == "chunked":
		body, err = w.readChunks()
	case length != "":
		n, _ := strconv.Atoi(length)
		b := make([]byte, n)
		_, err = io.ReadFull(w.in, b)
		body = string(b)
	default:
		body, err = w.readEnd()
	}
	return head, body, err
}

// readChunks returns a chunked body with its chunk headers.
func (w *wire) readChunks() (string, error) {
	var raw strings.Builder
	for {
		line, err := w.in.ReadString('\n')
		raw.WriteString(line)
		if err != nil {
			return raw.String(), err
		}
		size, err := strconv.ParseUint(strings.TrimRight(line, "\r\n"), 16, 32)
		if err != nil {
			return raw.String(), err
		}
		if _, err := io.CopyN(&raw, w.in, int64(size)+2); err != nil || size == 0 {
			return raw.String(), err
		}
	}
}

// readEnd returns everything until the server closes the connection. A reset is an
// end too.
func (w *wire) readEnd() (string, error) {
	b, err := io.ReadAll(w.in)
	var net net.Error
	if errors.As(err, &net) && !net.Timeout() {
		err = nil
	}
	return string(b), err
}

// openStream reads the head of a stream, if it was not yet.
func (w *wire) openStream() (head string, err error) {
	if w.body != nil {
		return "", nil
	}
	if head, err = w.readHead(); err != nil {
		return head, err
	}
	w.body, w.gap = w.in, "\n\n"
	if field(head, "Transfer-Encoding") == "chunked" {
		w.body = bufio.NewReader(httputil.NewChunkedReader(w.in))
	}
	if field(head, "Content-Type") == "application/x-ndjson" {
		w.gap = "\n"
	}
	return head, nil
}

// readUntil returns what a stream says up to the end of an event that contains
// text. Where the stream ends is an event's end too.
func (w *wire) readUntil(text string) (string, error) {
	var b strings.Builder
	for {
		c, err := w.body.ReadByte()
		if err != nil {
			return b.String(), fmt.Errorf("after %q: %w", b.String(), err)
		}
		b.WriteByte(c)
		if s := b.String(); c == '\n' && strings.HasSuffix(s, w.gap) && strings.Contains(s, text) {
			return s, nil
		}
	}
}

// readRest returns the rest of a stream.
func (w *wire) readRest() (string, error) {
	var b strings.Builder
	for {
		c, err := w.body.ReadByte()
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return b.String(), err
		}
		b.WriteByte(c)
	}
}
