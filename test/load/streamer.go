package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/watch/watchtest"
)

// A Streamer records an event stream over connections that it cuts at random
// bytes, does not read for a while, or reconnects too late.
type Streamer struct {
	Name  string
	query string
	// socket, if set, is what a WebSocket asks for instead, post what a POST does,
	// which gets lines.
	socket, post string
	// asked is what query asks for; its steps are those of wire.
	asked watchtest.Record
	wire  watchtest.Wire
	a     *Audience
	rng   *rand.Rand
	http1 string // the version of HTTP that it speaks
	// stall and late are how many revisions it lets go by without reading, or
	// without a connection; 0 is none.
	stall, late int
	cuts        int
	ends        atomic.Uint64 // the revision to reach, 0 until it is known
	startedOver atomic.Int64  // how often a resume was a resync or reset
}

// streamers watches in every way, or in some.
func (a *Audience) streamers() []*Streamer {
	list := slices.Concat(a.getters(), a.posters(), a.sockets())
	for i, s := range list {
		if s.a, s.rng = a, rand.New(rand.NewPCG(a.Seed, uint64(900+i))); s.http1 == "" {
			s.http1 = "1.1"
		}
	}
	if a.Watchers == 0 || a.Watchers >= len(list) {
		return list
	}
	// The first stays, since it watches everything.
	rng := rand.New(rand.NewPCG(a.Seed, 899))
	rng.Shuffle(len(list)-1, func(i, j int) { list[i+1], list[j+1] = list[j+1], list[i+1] })
	return list[:a.Watchers]
}

// getters are streamers of event streams.
func (a *Audience) getters() []*Streamer {
	p, all := a.Prefix, []string{a.Prefix}
	return []*Streamer{
		{Name: "everything", query: "prefix=" + p, asked: watchtest.Record{Prefixes: all}},
		{Name: "everything, HTTP/1.0", query: "prefix=" + p + "&named=0", asked: watchtest.Record{Prefixes: all}, http1: "1.0"},
		{Name: "one writer", query: "prefix=" + p + "t1/", asked: watchtest.Record{Prefixes: []string{p + "t1/"}}},
		{Name: "some keys", query: "key=" + p + "t0/1&key=" + p + "t1/2&prefix=" + p + "t2/1",
			asked: watchtest.Record{Keys: []string{p + "t0/1", p + "t1/2"}, Prefixes: []string{p + "t2/1"}}},
		{Name: "no values", query: "prefix=" + p + "&mode=keys", asked: watchtest.Record{Prefixes: all, NoValues: true}},
		{Name: "latest", query: "prefix=" + p + "&mode=latest", asked: watchtest.Record{Prefixes: all, Latest: true}},
		{Name: "latest, seldom", query: "prefix=" + p + "t&mode=latest&interval=20ms", asked: watchtest.Record{Prefixes: []string{p + "t"}, Latest: true}},
		{Name: "stalled", query: "prefix=" + p, asked: watchtest.Record{Prefixes: all}, stall: 150},
		{Name: "late", query: "prefix=" + p + "t", asked: watchtest.Record{Prefixes: []string{p + "t"}}, late: 120},
		{Name: "late latest", query: "prefix=" + p, asked: watchtest.Record{Prefixes: all, Latest: true}, late: 120},
	}
}

// run follows until the end. What breaks the form of a stream is an error.
func (s *Streamer) run(ctx context.Context) error {
	for !s.done() {
		url, _ := s.a.To.Pick()
		if err := s.connect(ctx, url); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		s.startedOver.Store(int64(s.count(watch.Resync) + s.Lost()))
		if s.late > 0 && s.ends.Load() == 0 && s.rng.IntN(3) == 0 {
			s.Wait(ctx, s.late)
		}
		if Pause(ctx); ctx.Err() != nil {
			return fmt.Errorf("%s: %w at %v", s.Name, ctx.Err(), s.wire.Last())
		}
	}
	return nil
}

func (s *Streamer) done() bool {
	end := s.ends.Load()
	steps := s.wire.Steps()
	if end == 0 || len(steps) == 0 {
		return false
	}
	last := steps[len(steps)-1]
	return last.HasAt && uint64(last.At.Rev) >= end
}

// Wait lets n revisions go by, or waits for the end.
func (s *Streamer) Wait(ctx context.Context, n int) {
	until := s.a.truth.newest.Load() + uint64(n)
	for s.a.truth.newest.Load() < until && s.ends.Load() == 0 && ctx.Err() == nil {
		Pause(ctx)
	}
}

// connect follows one connection until it is cut or ends.
func (s *Streamer) connect(ctx context.Context, url string) error {
	address := strings.TrimPrefix(url, "http://")
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
	in := &io.LimitedReader{R: s.impatient(conn), N: budget}
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

// impatient reads from conn until nothing comes for too long.
func (s *Streamer) impatient(conn net.Conn) io.Reader {
	return reader(func(p []byte) (int, error) {
		if s.a.Silence > 0 {
			if err := conn.SetReadDeadline(time.Now().Add(s.a.Silence)); err != nil {
				return 0, err
			}
		}
		return conn.Read(p)
	})
}

// A reader is a func as an io.Reader.
type reader func(p []byte) (int, error)

func (f reader) Read(p []byte) (int, error) { return f(p) }

func (s *Streamer) request(conn net.Conn, address string) {
	resume := ""
	if since := s.wire.Since(); since != "" {
		resume = "Last-Event-ID: " + since + "\r\n"
	}
	fmt.Fprintf(conn, "GET /v1/watch?%s HTTP/%s\r\nHost: %s\r\nAccept: text/event-stream\r\n%s\r\n", s.query, s.http1, address, resume)
}

// pauses returns what is called before each read: it stops reading for a while,
// once, where the streamer is one that stalls.
func (s *Streamer) pauses(ctx context.Context) func() {
	stall := s.stall > 0 && s.rng.IntN(3) == 0
	return func() {
		if stall && s.rng.IntN(8) == 0 {
			stall = false
			s.Wait(ctx, s.stall)
		}
	}
}

func (s *Streamer) read(from io.Reader, pause func()) error {
	resp, err := http.ReadResponse(bufio.NewReaderSize(from, 512), nil)
	if err != nil {
		return nil // it was cut within the head
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil
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

// Record returns what was recorded.
func (s *Streamer) Record() watchtest.Record {
	r := s.asked
	r.Steps = s.wire.Steps()
	return r
}

// count returns how often a kind of step is in s.
func (s *Streamer) count(kind watch.Kind) (n int) {
	for _, step := range s.wire.Steps() {
		if step.Kind == kind {
			n++
		}
	}
	return n
}

// Lost counts the resumes that were answered by a reset, in the same epoch.
func (s *Streamer) Lost() (n int) {
	var from kv.Position
	for _, step := range s.wire.Steps() {
		switch {
		case step.Kind == watchtest.Connect:
			from = step.At
		case step.Kind == watch.Reset && from.Rev > 0 && step.At.Epoch == from.Epoch:
			n++
		}
	}
	return n
}
