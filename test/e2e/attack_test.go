package e2e_test

import (
	"context"
	be "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// An attack is what one greedy or broken client does again and again: open connections,
// say something on each, and hold them without reading.
type attack struct {
	name string
	// conns is how many connections are open at once, hold for how long.
	conns int
	hold  time.Duration
	// say is what the i-th of them says, and more how many bytes come after it, which end
	// nothing.
	say  func(i int) string
	more int
}

// spoken returns a request as it is sent.
func spoken(method, path, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n", method, path, len(body))
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	return b.String() + "\r\n" + body
}

// announced is the head of a batch of 8 MiB.
const announced = "POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8388608\r\n\r\n"

// opening shakes hands for a WebSocket.
const opening = "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// unmasked returns a text frame with a mask of zeros that announces size bytes.
func unmasked(payload string, size int) string {
	b := []byte{0x81}
	if size < 126 {
		b = append(b, 0x80|byte(size))
	} else {
		b = be.BigEndian.AppendUint64(append(b, 0xff), uint64(size))
	}
	return string(append(b, 0, 0, 0, 0)) + payload
}

// many joins what each of n calls returns.
func many(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i))
	}
	return b.String()
}

// The keys that attacks use: some of 1 MiB, which do not all fit into memory.
const greedyKeys = 48

func greedyKey(i int) string { return fmt.Sprintf("greedy/%02d", i%greedyKeys) }

// batchOf returns a batch of n operations.
func batchOf(n int, op func(i int) map[string]any) string {
	ops := make([]map[string]any, n)
	for i := range ops {
		ops[i] = op(i)
	}
	b, _ := json.Marshal(map[string]any{"ops": ops})
	return string(b)
}

// attacks are what strangers found, and what is like it.
func attacks() []attack {
	gets := batchOf(512, func(i int) map[string]any { return map[string]any{"op": "get", "key": greedyKey(i)} })
	few := batchOf(7, func(i int) map[string]any { return map[string]any{"op": "get", "key": greedyKey(i)} })
	known := batchOf(1000, func(i int) map[string]any {
		if i == 0 {
			return map[string]any{"op": "put", "key": "greedy/record", "value": "1"}
		}
		return map[string]any{"op": "get", "key": "greedy/record"}
	})
	large := batchOf(7, func(i int) map[string]any {
		return map[string]any{"op": "put", "key": greedyKey(i), "value": strings.Repeat("y", 1<<20-1)}
	})
	name := strings.Repeat("n", 1000)
	names := func(i int) string {
		list := make([]string, 1024)
		for k := range list {
			list[k] = fmt.Sprintf("%06d-%04d-%s", i, k, name)
		}
		b, _ := json.Marshal(map[string]any{"prefixes": list, "state": false})
		return string(b)
	}
	page := spoken("GET", "/v1/kv?prefix=greedy/", "")
	list := `{"id":%d,"op":"list","prefix":"greedy/"}`
	wait := `{"id":%d,"op":"lock","lock":"greedy","ttl":"1s","wait":"1m"}`
	return []attack{
		{"batches of gets", 4, time.Second, always(spoken("POST", "/v1/batch", gets)), 0},
		{"batches of gets that are allowed", 10, time.Second, always(spoken("POST", "/v1/batch", few)), 0},
		{"announced bodies", 60, 2 * time.Second, always(announced), 0},
		{"unfinished bodies", 20, 2 * time.Second, always(announced), 7 << 20},
		{"unfinished messages", 20, 2 * time.Second, always(opening + unmasked("", 8<<20)), 7 << 20},
		{"unread pages", 20, 2 * time.Second, always(page), 0},
		{"unread pages of sockets", 20, 2 * time.Second, always(opening + many(64, func(i int) string {
			text := fmt.Sprintf(list, i+1)
			return unmasked(text, len(text))
		})), 0},
		{"unread lines", 20, 2 * time.Second, always(spoken("GET", "/v1/kv?prefix=greedy/", "", "Accept", "application/x-ndjson")), 0},
		{"unread values", 20, 2 * time.Second, func(i int) string {
			return many(20, func(k int) string { return spoken("GET", "/v1/kv/"+greedyKey(i+k), "") })
		}, 0},
		{"watchers that do not read", 20, 2 * time.Second, always(spoken("GET", "/v1/watch?prefix=greedy/", "")), 0},
		{"names of watches", 10, time.Second, func(i int) string { return spoken("POST", "/v1/watch", names(i)) }, 0},
		{"names without end", 5, time.Second, always(spoken("POST", "/v1/watch", `{"keys":[`+strings.Repeat(`"",`, 2<<20)+`""]}`)), 0},
		{"records", 4, time.Second, func(i int) string {
			return many(20, func(k int) string {
				return spoken("POST", "/v1/batch", known, "Idempotency-Key", fmt.Sprint(time.Now().UnixNano(), i, k))
			})
		}, 0},
		{"large batches", 5, time.Second, always(spoken("POST", "/v1/batch", large)), 0},
		{"waits for locks", 20, 2 * time.Second, always(opening + many(60, func(i int) string {
			text := fmt.Sprintf(wait, i+1)
			return unmasked(text, len(text))
		})), 0},
		{"leases and locks", 4, time.Second, always(
			many(100, func(int) string { return spoken("POST", "/v1/leases", `{"ttl":"1s"}`) }) +
				many(20, func(int) string { return spoken("POST", "/v1/locks/greedy", `{"ttl":"1s","owner":"`+name+`"}`) })), 0},
	}
}

// always says the same on every connection.
func always(text string) func(int) string { return func(int) string { return text } }

// run attacks until ctx ends.
func (a *attack) run(ctx context.Context, addr string) {
	for ctx.Err() == nil {
		round, cancel := context.WithTimeout(ctx, a.hold)
		var all sync.WaitGroup
		for i := range a.conns {
			all.Go(func() { a.once(round, addr, i) })
		}
		all.Wait()
		cancel()
	}
}

// once says what there is to say on one connection, and holds it until ctx ends.
func (a *attack) once(ctx context.Context, addr string, i int) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	_, err = io.WriteString(conn, a.say(i))
	for n := 0; err == nil && n < a.more; n += len(filler) {
		_, err = io.WriteString(conn, filler)
	}
	if err == nil {
		<-ctx.Done()
	}
}

// filler is a piece of a body or message without an end.
var filler = strings.Repeat("x", 64<<10)

// underAttack reads and writes for soakTime while all attacks go on at once.
func (s *soak) underAttack(t *testing.T) {
	t.Helper()
	value := strings.Repeat("x", 1<<20-1)
	for i := range greedyKeys {
		s.cl.Must(t, load.PutCall(greedyKey(i), value), 201)
	}
	s.attacked = true
	ctx, cancel := context.WithTimeout(t.Context(), *soakTime)
	defer cancel()
	var all sync.WaitGroup
	for _, a := range attacks() {
		all.Go(func() { a.run(ctx, strings.TrimPrefix(s.url, "http://")) })
	}
	s.puts.Store(0)
	s.gets.Store(0)
	s.each4(func(number int) { s.client(ctx, t, number) })
	all.Wait()
	t.Logf("under attack: %d gets, %d puts", s.gets.Load(), s.puts.Load())
	if s.gets.Load() == 0 || s.puts.Load() == 0 {
		t.Error("nothing was read or written while there were attacks")
	}
	gate.Until(t, func() bool {
		m := s.tiers(t).ClientMemory
		return m.Used["requests"] == 0 && m.Used["answers"] == 0 && m.Used["watches"] == 0 && m.Used["waits"] == 0
	}, "what the attackers held is not given back")
}
