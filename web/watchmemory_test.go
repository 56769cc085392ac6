package web_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"keywatch/test/gate"
	"keywatch/web"
	"keywatch/web/ws/wstest"
)

const (
	// roleEnv tells the processes of TestProofMemoryOfIdleWatchers what they are.
	roleEnv = "KEYWATCH_TEST_ROLE"
	// idleWatchers is how many there are of each kind, half of that over TLS.
	idleWatchers = 10_000
	// idleOverTLS is the most that one may take over TLS, idleInClear otherwise, in bytes.
	idleOverTLS, idleInClear = 11 << 10, 700
)

// Without it the memory of a client that watches could grow by what TLS or a goroutine takes, and be found
// where there are many. Server and clients are processes of their own; what is measured is the server's
// resident memory.
func TestProofMemoryOfIdleWatchers(t *testing.T) {
	gate.Long(t)
	switch role, rest, _ := strings.Cut(os.Getenv(roleEnv), " "); role {
	case "server":
		serveIdle(t, rest == "tls")
		return
	case "clients":
		watchIdly(t, strings.Fields(rest))
		return
	}
	for _, of := range []struct {
		kind, over string
		most       float64
	}{
		{"sse", "clear", idleInClear}, {"sse", "tls", idleOverTLS}, {"ws", "clear", idleInClear + 256}, {"ws", "tls", idleOverTLS},
		{"ws alone", "clear", idleInClear},
	} {
		took := memoryOf(t, of.kind, of.over)
		t.Logf("%s, %s: %.2f KiB each that is idle", of.kind, of.over, took/1024)
		if took > of.most {
			t.Errorf("%s, %s: %.0f bytes each, want at most %.0f", of.kind, of.over, took, of.most)
		}
	}
}

// A part is a process of the test.
type part struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

// newPart starts this test as another process.
func newPart(t *testing.T, role string) *part {
	t.Helper()
	cmd := exec.CommandContext(gate.Context(t), os.Args[0], "-test.run=^TestProofMemoryOfIdleWatchers$")
	cmd.Env, cmd.Stderr = append(os.Environ(), roleEnv+"="+role), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return &part{t, in, bufio.NewReader(out)}
}

// line returns what the process says next.
func (p *part) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%v after %q", err, line)
	}
	return strings.TrimSpace(line)
}

// resident returns the resident memory of a server.
func (p *part) resident() (n int) {
	p.t.Helper()
	fmt.Fprintln(p.in)
	n, err := strconv.Atoi(p.line())
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// memoryOf returns how much memory each watcher takes.
func memoryOf(t *testing.T, kind, over string) float64 {
	t.Helper()
	server := newPart(t, "server "+over)
	address := server.line()
	open := func(n int) *part {
		clients := newPart(t, fmt.Sprintf("clients %s %s %d %s", address, over, n, kind))
		if got := clients.line(); got != "open" {
			t.Fatalf("got %q", got)
		}
		return clients
	}
	open(100).in.Close() // what the first ones need is no matter of each
	n := idleWatchers
	if over == "tls" {
		n /= 2 // handshakes take long
	}
	before := server.resident()
	clients := open(n)
	after := server.resident()
	clients.in.Close()
	server.in.Close()
	return float64(after-before) / float64(n)
}

// serveIdle serves until its input ends, and says at each line how much memory it takes.
func serveIdle(t *testing.T, secured bool) {
	change := inClear
	if secured {
		change = secure
	}
	w := newWorld(t, change, func(o *web.Options) { o.MaxConnections = idleWatchers })
	fmt.Println(w.addr)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		w.eventually("all connections are streams", func() bool { return w.server.Reading() == 0 })
		debug.FreeOSMemory()
		debug.FreeOSMemory() // what pools have kept
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		var kib int
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			t.Fatal(err)
		}
		fmt.Println(kib << 10)
	}
}

// watchIdly opens watchers and keeps them until its input ends. args are the address, whether they speak
// TLS, how many there are, and the kind.
func watchIdly(t *testing.T, args []string) {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		t.Fatal(err)
	}
	open := make([]net.Conn, n)
	var all sync.WaitGroup
	for lane := range 32 {
		all.Go(func() {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+lane%8))}}
			for i := lane; i < n; i += 32 {
				conn, err := dialer.Dial("tcp", args[0])
				if err != nil {
					t.Error(err)
					return
				}
				if args[1] == "tls" {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				if open[i] = conn; !startsToWatch(t, conn, strings.Join(args[3:], " ")) {
					return
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, conn := range open {
		conn.Close()
	}
}

// startsToWatch asks for a watch and reads until it has begun.
func startsToWatch(t *testing.T, conn net.Conn, kind string) bool {
	request, begun := "GET /v1/watch?key=a&state=0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", "event: synced"
	switch kind {
	case "ws":
		request, begun = fmt.Sprintf(wstest.Handshake, "?key=a&state=0"), `"synced"`
	case "ws alone":
		request, begun = fmt.Sprintf(wstest.Handshake, ""), "\r\n\r\n"
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Error(err)
		return false
	}
	var got []byte
	for piece := make([]byte, 4<<10); !strings.Contains(string(got), begun); {
		n, err := conn.Read(piece)
		if got = append(got, piece[:n]...); err != nil {
			t.Errorf("%v after %q", err, got)
			return false
		}
	}
	return true
}
