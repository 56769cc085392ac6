package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// A streamer records an event stream over connections that it cuts at random
// bytes, does not read for a while, or reconnects too late.
type streamer struct {
	name  string
	query string
	// socket, if set, is what a WebSocket asks for instead, post what a POST does,
	// which gets lines.
	socket, post string
	// asked is what query asks for; its steps are those of wire.
	asked watchtest.Record
	wire  watchtest.Wire
	keep  *restarter
	tr    *truth
	rng   *rand.Rand
	http1 string // the version of HTTP that it speaks
	// stall and late are how many revisions it lets go by without reading, or
	// without a connection; 0 is none.
	stall, late int
	cuts        int
	ends        atomic.Uint64 // the revision to reach, 0 until it is known
	startedOver atomic.Int64  // how often a resume was a resync or reset
}

// streamers watches in every way.
func streamers(t *testing.T, keep *restarter, tr *truth) []*streamer {
	t.Helper()
	all := []string{""}
	list := []*streamer{
		{name: "everything", query: "prefix=", asked: watchtest.Record{Prefixes: all}},
		{name: "everything, HTTP/1.0", query: "prefix=&named=0", asked: watchtest.Record{Prefixes: all}, http1: "1.0"},
		{name: "one writer", query: "prefix=t1/", asked: watchtest.Record{Prefixes: []string{"t1/"}}},
		{name: "some keys", query: "key=t0/1&key=t1/2&prefix=t2/1", asked: watchtest.Record{Keys: []string{"t0/1", "t1/2"}, Prefixes: []string{"t2/1"}}},
		{name: "no values", query: "prefix=&mode=keys", asked: watchtest.Record{Prefixes: all, NoValues: true}},
		{name: "latest", query: "prefix=&mode=latest", asked: watchtest.Record{Prefixes: all, Latest: true}},
		{name: "latest, seldom", query: "prefix=t&mode=latest&interval=20ms", asked: watchtest.Record{Prefixes: []string{"t"}, Latest: true}},
		{name: "stalled", query: "prefix=", asked: watchtest.Record{Prefixes: all}, stall: 150},
		{name: "late", query: "prefix=t", asked: watchtest.Record{Prefixes: []string{"t"}}, late: 120},
		{name: "late latest", query: "prefix=", asked: watchtest.Record{Prefixes: all, Latest: true}, late: 120},
	}
	list = append(append(list, posters()...), sockets(t, keep)...)
	for i, s := range list {
		if s.keep, s.tr, s.rng = keep, tr, rand.New(rand.NewPCG(*seed, uint64(900+i))); s.http1 == "" {
			s.http1 = "1.1"
		}
	}
	return list
}

// run follows until the end. What breaks the form of a stream is an error.
func (s *streamer) run(ctx context.Context) error {
	for !s.done() {
		from := s.keep.server()
		if err := s.connect(ctx, from); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		s.startedOver.Store(int64(s.count(watch.Resync) + s.lost()))
		if s.late > 0 && s.ends.Load() == 0 && s.rng.IntN(3) == 0 {
			s.wait(ctx, s.late)
		}
		if waitABit(ctx); ctx.Err() != nil {
			return fmt.Errorf("%s: %w at %v", s.name, ctx.Err(), s.wire.Last())
		}
	}
	return nil
}

func (s *streamer) done() bool {
	end := s.ends.Load()
	steps := s.wire.Steps()
	if end == 0 || len(steps) == 0 {
		return false
	}
	last := steps[len(steps)-1]
	return last.HasAt && uint64(last.At.Rev) >= end
}

// wait lets n revisions go by, or waits for the end.
func (s *streamer) wait(ctx context.Context, n int) {
	until := s.tr.newest.Load() + uint64(n)
	for s.tr.newest.Load() < until && s.ends.Load() == 0 && ctx.Err() == nil {
		waitABit(ctx)
	}
}

// connect follows one connection until it is cut or ends.
func (s *streamer) connect(ctx context.Context, from *server) error {
	address := strings.TrimPrefix(from.url, "http://")
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if s.stall > 0 {
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	}
	s.wire.Connect()
	budget := int64(200 + s.rng.IntN(1<<uint(8+s.rng.IntN(10))))
	if s.ends.Load() != 0 {
		budget = math.MaxInt64
	}
	s.cuts++
	in := &io.LimitedReader{R: conn, N: budget}
	if s.socket != "" {
		s.upgrade(conn, address)
		return s.frames(in, s.pauses(ctx))
	}
	if s.post != "" {
		s.ask(conn, address)
	} else {
		s.request(conn, address)
	}
	return s.read(in, s.pauses(ctx))
}

func (s *streamer) request(conn net.Conn, address string) {
	resume := ""
	if since := s.wire.Since(); since != "" {
		resume = "Last-Event-ID: " + since + "\r\n"
	}
	fmt.Fprintf(conn, "GET /v1/watch?%s HTTP/%s\r\nHost: %s\r\nAccept: text/event-stream\r\n%s\r\n", s.query, s.http1, address, resume)
}

// pauses returns what is called before each read: it stops reading for a while,
// once, where the streamer is one that stalls.
func (s *streamer) pauses(ctx context.Context) func() {
	stall := s.stall > 0 && s.rng.IntN(3) == 0
	return func() {
		if stall && s.rng.IntN(8) == 0 {
			stall = false
			s.wait(ctx, s.stall)
		}
	}
}

func (s *streamer) read(from io.Reader, pause func()) error {
	resp, err := http.ReadResponse(bufio.NewReaderSize(from, 512), nil)
	if err != nil {
		return nil // it was cut within the head
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	buf := make([]byte, 1+s.rng.IntN(4096))
	for !s.done() {
		pause()
		n, err := resp.Body.Read(buf)
		if err := s.takes(buf[:n]); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
	}
	return nil
}

// record returns what was recorded.
func (s *streamer) record() watchtest.Record {
	r := s.asked
	r.Steps = s.wire.Steps()
	return r
}
