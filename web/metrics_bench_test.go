//go:build linux

package web_test

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keywatch/kv"
	"keywatch/test/cputime"
	"keywatch/web"
)

// A timedServer answers requests at a listener of its own.
type timedServer struct {
	handler func()
	conn    net.Conn
	answer  []byte
}

func newTimedServer(b *testing.B, method string, untimed bool) *timedServer {
	log, hub := newStore(b, kv.Params{})
	s, err := web.New(web.Options{Store: kv.NewStore(log.state, log, kv.Limits{}), Hub: hub})
	if err != nil {
		b.Fatal(err)
	}
	if untimed {
		s.Untimed()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = s.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(); _ = s.Shutdown(b.Context()) })
	t := &timedServer{conn: conn, answer: make([]byte, 4096), handler: requestOf(b, s.Handler(), method)}
	t.ask(b, "PUT")
	return t
}

// ask sends one request and takes its answer.
func (t *timedServer) ask(b *testing.B, method string) {
	body := ""
	if method == "PUT" {
		body = strings.Repeat("v", 128)
	}
	length := ""
	if body != "" {
		length = fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	_, err := fmt.Fprintf(t.conn, "%s /v1/kv/bench/key HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n%s", method, length, body)
	if err == nil {
		_, err = t.conn.Read(t.answer)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// serverTime returns the processor time that one request over the socket takes, without that of its
// client, which has the calling thread for itself.
func (t *timedServer) serverTime(b *testing.B, method string, requests int) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, own := cputime.Used(), threadTime(b)
	for range requests {
		t.ask(b, method)
	}
	return float64((cputime.Used()-all)-(threadTime(b)-own)) / float64(requests)
}

func threadTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHistograms says what it costs to count how long requests take: of the processor time of a
// request over a socket, in turns in one run. It prints medians: histogram-ns/op is what the count
// adds, measured without a network, and request-ns/op what all of a request takes.
func BenchmarkHistograms(b *testing.B) {
	for _, method := range []string{"GET", "PUT"} {
		b.Run(method, func(b *testing.B) {
			with, without := newTimedServer(b, method, false), newTimedServer(b, method, true)
			var request, adds []float64
			for b.Loop() {
				request = append(request, with.serverTime(b, method, 200))
				// The order changes, because the second has what the first left in caches.
				first, second, sign := with.handler, without.handler, 1.0
				if len(adds)%2 == 1 {
					first, second, sign = second, first, -1
				}
				adds = append(adds, sign*(thousand(first)-thousand(second)))
			}
			slices.Sort(request)
			slices.Sort(adds)
			whole, part := request[len(request)/2], adds[len(adds)/2]
			b.ReportMetric(whole, "request-ns/op")
			b.ReportMetric(part, "histogram-ns/op")
			b.ReportMetric(100*part/whole, "percent")
		})
	}
}

// thousand returns how long one call of run takes, in nanoseconds, of a thousand.
func thousand(run func()) float64 {
	began := time.Now()
	for range 1000 {
		run()
	}
	return float64(time.Since(began).Nanoseconds()) / 1000
}
