package load

import (
	"bufio"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"

	"keywatch/watch/watchtest"
)

// sockets are streamers that watch over WebSockets.
func (a *Audience) sockets() []*Streamer {
	p, all := a.Prefix, []string{a.Prefix}
	everything := fmt.Sprintf(`"prefixes":[%q]`, p)
	return []*Streamer{
		{Name: "socket", socket: everything, asked: watchtest.Record{Prefixes: all}},
		{Name: "socket, no values", socket: fmt.Sprintf(`"prefixes":[%q],"mode":"keys"`, p+"t"), asked: watchtest.Record{Prefixes: []string{p + "t"}, NoValues: true}},
		{Name: "socket, some keys", socket: fmt.Sprintf(`"keys":[%q],"prefixes":[%q]`, p+"t0/1", p+"t2/"),
			asked: watchtest.Record{Keys: []string{p + "t0/1"}, Prefixes: []string{p + "t2/"}}},
		{Name: "socket, latest", socket: everything + `,"mode":"latest"`, asked: watchtest.Record{Prefixes: all, Latest: true}},
		{Name: "socket, stalled", socket: everything, asked: watchtest.Record{Prefixes: all}, stall: 150},
		{Name: "socket, late", socket: everything, asked: watchtest.Record{Prefixes: all}, late: 120},
	}
}

// upgrade asks for a WebSocket and one watch on it.
func (s *Streamer) upgrade(conn net.Conn, address string) {
	op := fmt.Sprintf(`{"id":1,"op":"watch",%s}`, s.socket)
	if since := s.wire.Since(); since != "" {
		op = fmt.Sprintf(`{"id":1,"op":"watch",%s,"since":%q}`, s.socket, since)
	}
	fmt.Fprintf(conn, "GET /v1/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: keywatch.v1.json\r\n\r\n", address)
	// One masked frame of text; the mask is all zeros.
	frame := append([]byte{0x81, 0x80 | 126}, wire.BigEndian.AppendUint16(nil, uint16(len(op)))...)
	if len(op) < 126 {
		frame = []byte{0x81, 0x80 | byte(len(op))}
	}
	_, _ = conn.Write(append(append(frame, 0, 0, 0, 0), op...))
}

// frames records what comes on a WebSocket until it is cut or closed.
func (s *Streamer) frames(from io.Reader, pause func()) error {
	r := bufio.NewReaderSize(from, 512)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil // it was cut within the head
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	for !s.done() {
		pause()
		opcode, payload, err := readFrame(r)
		if err != nil || opcode == 0x8 {
			return nil
		}
		if opcode != 0x1 {
			continue
		}
		var m struct {
			Type  string          `json:"type"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(payload, &m); err != nil || m.Error != nil {
			return fmt.Errorf("frame %.300q: %v", payload, err)
		}
		if m.Type == "" {
			continue // the answer to the operation
		}
		if err := s.wire.Message(payload); err != nil {
			return err
		}
	}
	return nil
}

// readFrame reads one frame of a server, which are whole and not masked.
func readFrame(r io.Reader) (opcode byte, payload []byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(r, head[:2]); err != nil {
		return 0, nil, err
	}
	opcode, size := head[0]&0xf, uint64(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(r, head[:2])
		size = uint64(wire.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(r, head[:8])
		size = wire.BigEndian.Uint64(head[:8])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(r, payload)
	return opcode, payload, err
}
