//go:build linux

package fanout

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// requestTimeout is how long one request of a publisher may take.
const requestTimeout = 30 * time.Second

// refusedPause is how long to wait before a request that was refused is sent again.
const refusedPause = 50 * time.Millisecond

// A publisher sends requests on a schedule, not when the last was answered: what
// a slow server delays counts as its latency. Requests to one key go one after
// the other, or in series of their own.
type publisher struct {
	o     *Options
	t     *target
	clock *clock
	http  *fasthttp.HostClient
	ready chan net.Conn // connections that are not in use yet

	blocks int // groups of keys that one request writes
	// lanes is how many connections there are, perKey how many series a key
	// has: as many, if there are fewer keys than connections.
	lanes, perKey int

	mu struct {
		sync.Mutex
		sent   []uint64 // values that were acknowledged, by key
		again  int      // requests that were refused and sent again
		errors map[string]int
	}
}

func newPublisher(o *Options, t *target, c *clock) (*publisher, error) {
	p := &publisher{o: o, t: t, clock: c, blocks: o.Keys / o.Batch, lanes: max(o.Burst, o.Conns), perKey: 1}
	if p.blocks < p.lanes {
		p.perKey = p.lanes
	}
	p.mu.sent, p.mu.errors = make([]uint64, o.Keys), map[string]int{}
	var u fasthttp.URI
	if err := u.Parse(nil, []byte(t.publish(0, [][]byte{nil}).url)); err != nil {
		return nil, err
	}
	p.http = &fasthttp.HostClient{
		Addr: fasthttp.AddMissingPort(string(u.Host()), false), MaxConns: p.lanes + 8, MaxIdemponentCallAttempts: 1,
		ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, DisablePathNormalizing: true, Name: "keywatch-bench",
		MaxIdleConnDuration: requestTimeout, Dial: p.dial,
	}
	if o.foreign() {
		return p, nil
	}
	return p, p.connect()
}

// connect opens the connections before watchers take all that the server accepts.
func (p *publisher) connect() error {
	n := p.lanes
	if p.o.Probe > 0 {
		n++
	}
	p.ready = make(chan net.Conn, n)
	for range n {
		c, err := fasthttp.DialTimeout(p.http.Addr, requestTimeout)
		if err != nil {
			return fmt.Errorf("connect to publish: %w", err)
		}
		// A connection without a request would soon be closed.
		if _, err = fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", p.t.host); err == nil {
			var resp fasthttp.Response
			err = resp.Read(bufio.NewReader(c))
		}
		if err != nil {
			c.Close()
			return fmt.Errorf("connect to publish: %w", err)
		}
		p.ready <- c
	}
	return nil
}

// dial returns a connection that connect has made, or a new one. While thousands of
// watchers connect, the kernel may let a SYN wait for several of its retries.
func (p *publisher) dial(addr string) (net.Conn, error) {
	select {
	case c := <-p.ready:
		return c, nil
	default:
		return fasthttp.DialTimeout(addr, requestTimeout)
	}
}

// run publishes until ctx ends, but the first value in any case.
func (p *publisher) run(ctx context.Context) {
	began := time.Now()
	interval := time.Duration(float64(p.o.Burst*p.o.Batch) / p.o.Rate * float64(time.Second))
	var all sync.WaitGroup
	record := guarded(p.o.Publish)
	for lane := range p.lanes {
		all.Go(func() {
			series := map[int]uint32{} // the last seq, by block
			for n := 0; ; n++ {
				block := n % p.blocks
				if p.perKey > 1 && n%p.lanes != lane || p.perKey == 1 && block%p.lanes != lane {
					continue
				}
				if n > 0 && !until(ctx, began.Add(time.Duration(n/p.o.Burst)*interval)) {
					return
				}
				series[block]++
				p.publish(block, lane, series[block], record)
			}
		})
	}
	all.Wait()
}

// close closes all connections. Nothing may be under way.
func (p *publisher) close() {
	p.http.CloseIdleConnections()
	for {
		select {
		case c := <-p.ready:
			c.Close()
		default:
			return
		}
	}
}

// publish sends one request.
func (p *publisher) publish(block, lane int, seq uint32, record func(time.Duration)) {
	first := block * p.o.Batch
	at := p.clock.now()
	values := make([][]byte, p.o.Batch)
	for i := range values {
		s := stamp{series: uint32((first+i)*p.perKey + lane%p.perKey), seq: seq, at: at}
		values[i] = s.appendTo(nil, p.o.Size)
	}
	m, again := p.t.publish(first, values), 0
	code := p.send(m, p.o.PubHeaders)
	for ; refused(code) && !p.o.foreign() && p.clock.now()-at < requestTimeout; again++ {
		time.Sleep(refusedPause)
		code = p.send(m, p.o.PubHeaders)
	}
	record(p.clock.now() - at)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.again += again
	if code != "" {
		p.mu.errors[code]++
		return
	}
	for i := range values {
		p.mu.sent[first+i]++
	}
}

// refused reports whether keywatch promises that a request was not applied.
func refused(code string) bool { return code == "status 429" || code == "status 503" }

// send returns what went wrong, or "".
func (p *publisher) send(m publication, headers []string) string {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(m.method)
	req.SetRequestURI(m.url)
	for _, line := range headers {
		name, value := cutHeader(line)
		req.Header.Set(name, value)
	}
	req.SetBody(m.body)
	if err := p.http.Do(req, resp); err != nil {
		var op *net.OpError // which names a port: no two would be counted together
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Sprint("no answer: ", err)
	}
	if s := resp.StatusCode(); s < 200 || s > 299 {
		return fmt.Sprint("status ", s)
	}
	return ""
}

// probe puts to keys without watchers until ctx ends, but once in any case.
func (p *publisher) probe(ctx context.Context) {
	began := time.Now()
	interval := time.Duration(float64(time.Second) / p.o.Probe)
	value := stamp{}.appendTo(nil, p.o.Size)
	for n := 0; n == 0 || until(ctx, began.Add(time.Duration(n)*interval)); n++ {
		at := time.Now()
		m := publication{"PUT", p.t.base() + "/v1/kv/" + p.o.Prefix + "probe", value}
		code := p.send(m, p.o.PubHeaders)
		if p.o.ProbePut != nil {
			p.o.ProbePut.Add(time.Since(at))
		}
		if code != "" {
			p.mu.Lock()
			p.mu.errors["probe: "+code]++
			p.mu.Unlock()
		}
	}
}

// published returns how many values were acknowledged, by key, how many requests
// were sent again, and errors by what was wrong.
func (p *publisher) published() (sent []uint64, again int, errors map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]uint64(nil), p.mu.sent...), p.mu.again, maps.Clone(p.mu.errors)
}

// guarded makes r safe for several goroutines.
func guarded(r Recorder) func(time.Duration) {
	if r == nil {
		return func(time.Duration) {}
	}
	var mu sync.Mutex
	return func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		r.Add(d)
	}
}

// until waits for due and reports whether ctx still holds.
func until(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
