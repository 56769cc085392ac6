package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"keywatch/test/load"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A pipe is a WebSocket with many commands under way.
type pipe struct {
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
}

func openPipe(url string) (*pipe, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, err
	}
	p := &pipe{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	_, err = io.WriteString(conn, "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(p.in, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("handshake: %s", resp.Status)
	}
	return p, err
}

// put puts a text frame into the buffer, masked with zeros.
func (p *pipe) put(text string) {
	head := []byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}
	if len(text) > 125 {
		head = []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
	}
	p.out.Write(head)
	p.out.WriteString(text)
}

func (p *pipe) flush() error {
	_, err := p.out.WriteTo(p.conn)
	return err
}

// next returns the next frame that is text.
func (p *pipe) next() ([]byte, error) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(p.in, head[:2]); err != nil {
			return nil, err
		}
		n := int(head[1] & 0x7f)
		if n == 126 {
			if _, err := io.ReadFull(p.in, head[2:4]); err != nil {
				return nil, err
			}
			n = int(head[2])<<8 | int(head[3])
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(p.in, text); err != nil {
			return nil, err
		}
		if head[0] == 0x81 {
			return text, nil
		}
	}
}

// each sends command(i) for i below n, up to 64 under way, and has each answer,
// which must be good, looked at.
func (p *pipe) each(n int, command func(i int) string, answer func(i int, text []byte) error) error {
	const window = 64
	for done := 0; done < n; done += window {
		size := min(window, n-done)
		for i := range size {
			p.put(command(done + i))
		}
		if err := p.flush(); err != nil {
			return err
		}
		for i := range size {
			text, err := p.next()
			if err == nil && !bytes.Contains(text, []byte(`"ok":true`)) {
				err = fmt.Errorf("answer %s", text)
			}
			if err == nil {
				err = answer(done+i, text)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// cpu returns what processor time the server has used, as Linux counts it, in
// steps of 10 ms.
func (s *server) cpu(t testing.TB) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatalf("%q: %v, %v", stat, err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// pipes are sockets that share work.
type pipes []*pipe

func openPipes(b *testing.B, s *server, n int) (all pipes) {
	b.Helper()
	for range n {
		p, err := openPipe(s.url)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { p.conn.Close() })
		all = append(all, p)
	}
	return all
}

// each is that of one pipe, with the commands split over all.
func (all pipes) each(b *testing.B, n int, command func(i int) string, answer func(i int, text []byte) error) {
	var wg sync.WaitGroup
	for c, p := range all {
		wg.Go(func() {
			of := func(i int) int { return i*len(all) + c }
			if err := p.each((n+len(all)-1-c)/len(all), func(i int) string { return command(of(i)) },
				func(i int, text []byte) error { return answer(of(i), text) }); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// grantLeases begins leases and returns their names.
func grantLeases(b *testing.B, all pipes, n int, ttl string) []string {
	ids := make([]string, n)
	all.each(b, n, func(int) string { return `{"id":1,"op":"lease","ttl":"` + ttl + `"}` }, func(i int, text []byte) error {
		var got struct{ Lease string }
		err := json.Unmarshal(text, &got)
		ids[i] = got.Lease
		return err
	})
	return ids
}

// BenchmarkBoundLeases has 100,000 leases of 15 s live with 16 WebSockets, so that
// the server renews each every 5 s, durably, and says what share of a core that
// takes. An operation is 5 s.
func BenchmarkBoundLeases(b *testing.B) {
	const leases = 100_000
	s := serve(b, "--data", b.TempDir())
	all := openPipes(b, s, 16)
	ids := grantLeases(b, all, leases, "15s")
	all.each(b, leases, func(i int) string { return `{"id":1,"op":"bind","lease":"` + ids[i] + `"}` },
		func(int, []byte) error { return nil })
	cl := newClient(b, s)
	live := func() int {
		var status struct{ Leases int }
		if err := cl.Must(b, load.Call{Method: "GET", Path: "/v1/status"}, 200).Decode(&status); err != nil {
			b.Fatal(err)
		}
		return status.Leases
	}
	before, began := s.cpu(b), time.Now()
	for b.Loop() {
		time.Sleep(5 * time.Second)
	}
	b.ReportMetric((s.cpu(b)-before).Seconds()/time.Since(began).Seconds(), "server-cores")
	if n := live(); n != leases {
		b.Errorf("%d leases live, want %d", n, leases)
	}
}

// BenchmarkKeepalive renews leases of 100,000, durably, and says what the server
// alone pays for one, and what share of a core a renewal of each every 5 s takes.
// It does so by a request for each on 64 connections, and by commands on 16
// WebSockets with 64 under way on each; or, in BenchmarkBoundLeases, has the
// server renew them unasked.
func BenchmarkKeepalive(b *testing.B) {
	const leases = 100_000
	s := serve(b, "--data", b.TempDir())
	pipes := openPipes(b, s, 16)
	ids := grantLeases(b, pipes, leases, "10m")
	requests := func(n int) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		defer client.CloseIdleConnections()
		var wg sync.WaitGroup
		for c := range 64 {
			wg.Go(func() {
				for i := c; i < n; i += 64 {
					resp, err := client.Post(s.url+"/v1/leases/"+ids[i%leases]+"/keepalive", "", nil)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 200 {
						b.Error(resp.Status)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	for _, way := range []struct {
		name string
		run  func(n int)
	}{
		{"http", requests},
		{"sockets", func(n int) {
			pipes.each(b, n, func(i int) string { return `{"id":1,"op":"keepalive","lease":"` + ids[i%leases] + `"}` },
				func(int, []byte) error { return nil })
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			before := s.cpu(b)
			way.run(b.N)
			each := (s.cpu(b) - before).Seconds() / float64(b.N)
			b.ReportMetric(each*1e6, "server-us/op")
			b.ReportMetric(each*leases/5, "server-cores")
		})
	}
}
