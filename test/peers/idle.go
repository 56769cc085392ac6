package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// idleConns is how many connections are open at once.
const idleConns = 9_000

// An idler is a kind of connection that is asked once and then kept.
type idler struct {
	name, ask, answer string
	addr              func(k *keywatch) string
}

var idlers = []idler{
	{"HTTP keep-alive", "GET /v1/kv/none HTTP/1.1\r\nHost: {addr}\r\n\r\n", "HTTP/1.1 404", func(k *keywatch) string {
		u, _ := url.Parse(k.url)
		return u.Host
	}},
	{"RESP", "*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n", "$-1", func(k *keywatch) string { return k.resp }},
}

// compareIdle prints what an idle connection of each kind takes.
func compareIdle(c config) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%d idle connections\tKiB each\tgoroutines each\taim\n", idleConns)
	for _, x := range idlers {
		memory, goroutines, err := x.measure(c)
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.3f\t0.6, none\n", x.name, memory, goroutines)
	}
	return w.Flush()
}

// measure starts a server and returns how many KiB, and goroutines, each connection takes.
func (x *idler) measure(c config) (memory, goroutines float64, err error) {
	k, err := launchKeywatch(c, "", "--memory-only", "--max-connections", strconv.Itoa(2*idleConns))
	if err != nil {
		return 0, 0, err
	}
	defer k.stop()
	if err := x.open(k, 100, nil); err != nil { // what the first connections need is no matter of each
		return 0, 0, err
	}
	before, err := k.now()
	if err != nil {
		return 0, 0, err
	}
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	if err := x.open(k, idleConns, &open); err != nil {
		return 0, 0, err
	}
	after, err := k.now()
	return float64(after.rss-before.rss) / 1024 / idleConns, (after.goroutines - before.goroutines) / idleConns, err
}

// open opens n connections, each of which asks once and has its answer, and keeps them if it is
// told where.
func (x *idler) open(k *keywatch, n int, keep *[]net.Conn) error {
	addr := x.addr(k)
	ask := strings.ReplaceAll(x.ask, "{addr}", addr)
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		if keep != nil {
			*keep = append(*keep, conn)
		} else {
			defer conn.Close()
		}
		if _, err := io.WriteString(conn, ask); err != nil {
			return err
		}
		var b [512]byte
		if n, err := conn.Read(b[:]); err != nil || !strings.HasPrefix(string(b[:n]), x.answer) {
			return fmt.Errorf("it answered %q, %v", b[:n], err)
		}
	}
	return nil
}

// A moment is what a server is at one time.
type moment struct {
	usage
	goroutines float64
}

// now returns what the server is once it has settled.
func (k *keywatch) now() (m moment, err error) {
	time.Sleep(3 * time.Second)
	resp, err := http.Get(k.url + "/metrics")
	if err != nil {
		return m, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			m.goroutines, err = strconv.ParseFloat(value, 64)
		}
	}
	if err == nil {
		err = lines.Err()
	}
	if err == nil {
		m.usage, err = usageOf(k.cmd.Process.Pid)
	}
	return m, err
}
