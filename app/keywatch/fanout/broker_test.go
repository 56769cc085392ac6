package fanout_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A broker passes what is published to /pub/KEY on to those at /sub/KEY or
// /ws/KEY, through tamper.
type broker struct {
	url string
	// tamper returns what is sent to one of those at key for the n-th message
	// of key, counted from 1.
	tamper func(b *broker, key string, n int, value string) []string
	// bytewise writes each byte alone.
	bytewise atomic.Bool
	pongs    atomic.Int64

	mu   sync.Mutex
	subs map[string][]*bufio.ReadWriter
	sent map[string][]string
}

func newBroker(t *testing.T, tamper func(*broker, string, int, string) []string) *broker {
	b := &broker{tamper: tamper, subs: map[string][]*bufio.ReadWriter{}, sent: map[string][]string{}}
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	b.url = s.URL
	return b
}

func faithful(_ *broker, _ string, _ int, value string) []string { return []string{value} }

func (b *broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch kind {
	case "pub":
		body, _ := io.ReadAll(r.Body)
		b.publish(key, string(body))
	case "refuse":
		w.WriteHeader(http.StatusTeapot)
	case "busy":
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		b.subscribe(kind, key, conn, rw)
	}
}

// wsMark stands before the keys of those that came by WebSocket.
const wsMark = "ws:"

func (b *broker) subscribe(kind, key string, conn net.Conn, rw *bufio.ReadWriter) {
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n: hi\n\n\r\n"
	if kind == "ws" {
		head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x89\x02hi"
		key = wsMark + key
	}
	b.mu.Lock()
	b.write(rw, head)
	b.subs[key] = append(b.subs[key], rw)
	b.mu.Unlock()
	go func() {
		defer conn.Close()
		var got [8]byte
		if kind == "ws" {
			if _, err := io.ReadFull(rw, got[:]); err == nil && got[0] == 0x8a && string(got[6:]) == "hi" {
				b.pongs.Add(1)
			}
		}
		io.Copy(io.Discard, rw)
	}()
}

func (b *broker) write(rw *bufio.ReadWriter, text string) {
	for len(text) > 0 {
		n := len(text)
		if b.bytewise.Load() {
			n = 1
		}
		rw.WriteString(text[:n])
		rw.Flush()
		text = text[n:]
	}
}

func (b *broker) publish(key, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent[key] = append(b.sent[key], value)
	for _, v := range b.tamper(b, key, len(b.sent[key]), value) {
		for _, rw := range b.subs[key] {
			event := fmt.Sprintf("id: %d\r\nevent: message\r\ndata: {\"v\":%q}\r\n\r\n", len(b.sent[key]), v)
			half := len(event) / 2
			b.write(rw, fmt.Sprintf("%x;x=y\r\n%s\r\n%X\r\n%s\r\n", half, event[:half], len(event)-half, event[half:]))
		}
		for _, rw := range b.subs[wsMark+key] {
			b.write(rw, frame(fmt.Sprintf(`{"v":%q}`, v)))
		}
	}
}

func frame(text string) string {
	b := []byte{0x81, 126}
	if len(text) < 126 {
		return string(append([]byte{0x81, byte(len(text))}, text...))
	}
	return string(append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...))
}
