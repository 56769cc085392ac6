package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	kw "keywatch/client"
)

// load sends the requests of a benchmark. It uses fasthttp because the
// machine that it loads is often its own.
type load struct {
	c    *benchCmd
	base string // scheme, host and path before /v1
	http *fasthttp.HostClient
	// durable is the Keywatch-Durability of some write.
	durable atomic.Pointer[string]
	filled  []byte // the value that fill wrote everywhere
}

func newLoad(c *benchCmd, to *client) *load {
	return &load{
		c:    c,
		base: strings.TrimSuffix(to.base.Scheme+"://"+to.base.Host+to.base.EscapedPath(), "/"),
		http: &fasthttp.HostClient{
			Addr:                      fasthttp.AddMissingPort(to.base.Host, to.base.Scheme == "https"),
			IsTLS:                     to.base.Scheme == "https",
			MaxConns:                  c.Conns,
			ReadTimeout:               to.timeout,
			WriteTimeout:              to.timeout,
			MaxIdemponentCallAttempts: 1,
			DisablePathNormalizing:    true,
			Name:                      "keywatch",
		},
		filled: value(0, c.Size),
	}
}

func (l *load) close() { l.http.CloseIdleConnections() }

// durability returns how durable the server said its writes were.
func (l *load) durability() string {
	if p := l.durable.Load(); p != nil {
		return *p
	}
	return ""
}

// value returns the n-th value, of at least 16 bytes.
func value(n uint64, size int) []byte {
	v := bytes.Repeat([]byte{'.'}, size)
	copy(v, fmt.Sprintf("%016x", n))
	return v
}

func (l *load) key(i int) string { return l.c.Prefix + strconv.Itoa(i) }

// fillBytes and fillOps bound one batch of fill.
const (
	fillBytes = 1 << 20
	fillOps   = 256
)

// fill writes every key once, in batches, over all connections.
func (l *load) fill(ctx context.Context) error {
	step := max(1, min(fillOps, fillBytes/l.c.Size))
	starts := make(chan int) // the first key of each batch; closed when all are sent
	errs := make(chan error, l.c.Conns)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for range l.c.Conns {
		wg.Go(func() {
			w := l.worker(0)
			defer w.release()
			for first := range starts {
				if err := w.fillFrom(first, min(first+step, l.c.Keys)); err != nil {
					errs <- err
					cancel()
					return
				}
			}
		})
	}
	for first := 0; first < l.c.Keys && ctx.Err() == nil; first += step {
		select {
		case starts <- first:
		case <-ctx.Done():
		}
	}
	close(starts)
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	return ctx.Err()
}

const (
	// noAnswer counts the requests that the server did not answer.
	noAnswer = "connection"
	// maxBroken is how many requests in a row a connection sends without an answer
	// before it gives the server up.
	maxBroken = 100
	// afterError is the pause after an error, so that a busy server can recover.
	afterError = 10 * time.Millisecond
)

// worker is one connection's state.
type worker struct {
	l      *load
	req    *fasthttp.Request
	resp   *fasthttp.Response
	number int // of the connection
	sent   uint64
	last   map[int][]byte // for cas: what the keys of this connection hold
}

func (l *load) worker(number int) *worker {
	return &worker{l: l, number: number, req: fasthttp.AcquireRequest(), resp: fasthttp.AcquireResponse(), last: map[int][]byte{}}
}

func (w *worker) release() {
	fasthttp.ReleaseRequest(w.req)
	fasthttp.ReleaseResponse(w.resp)
}

// run sends requests on one connection until ctx ends, but one in any case.
func (l *load) run(ctx context.Context, number int, t *tally) {
	w := l.worker(number)
	defer w.release()
	t.errors = map[string]int{}
	broken := 0 // requests in a row without an answer
	for first := true; (first || ctx.Err() == nil) && broken < maxBroken; first = false {
		op, swapped := l.c.Op, -1
		if op == "mixed" {
			op = "get"
			if rand.IntN(5) == 0 {
				op = "put"
			}
		}
		swapped = w.prepare(op)
		began := time.Now()
		err := l.http.Do(w.req, w.resp)
		took := time.Since(began)
		code := w.judge(err)
		if broken++; code != noAnswer {
			broken = 0
		}
		if code == "" {
			t.latency.add(took)
			w.swapped(swapped)
		} else if code == "compare_failed" {
			t.conflicts++
			w.forget(swapped)
		} else if t.errors[code]++; !sleep(ctx, afterError) {
			return
		}
	}
}

// prepare makes the next request. For a swap it returns the key's number.
func (w *worker) prepare(op string) int {
	w.sent++
	i := rand.IntN(w.l.c.Keys)
	switch op {
	case "get":
		w.set(http.MethodGet, kw.KeyPath("/v1/kv/", w.l.key(i)), nil)
	case "put":
		w.set(http.MethodPut, kw.KeyPath("/v1/kv/", w.l.key(i)), w.value())
	case "batch":
		w.set(http.MethodPost, "/v1/batch", w.l.puts(w.someKeys(), w.value()))
	case "cas":
		// Each connection has keys of its own, so a swap fails only if
		// another client writes them.
		i -= i % w.l.c.Conns
		if i += w.number; i >= w.l.c.Keys {
			i = w.number
		}
		w.set(http.MethodPost, kw.KeyPath("/v1/cas/", w.l.key(i)), w.swap(i))
		return i
	}
	return -1
}

// value returns a value that no other request has.
func (w *worker) value() []byte {
	return value(uint64(w.number+1)<<40|w.sent, w.l.c.Size)
}

func (w *worker) set(method, path string, body []byte) {
	w.req.Reset() // else a GET says the Content-Length of the PUT before it
	w.req.Header.SetMethod(method)
	w.req.SetRequestURI(w.l.base + path)
	w.req.SetBody(body)
}

// swap returns the body of a swap of key i.
func (w *worker) swap(i int) []byte {
	old := w.last[i]
	if old == nil {
		old = w.l.filled
	}
	return fmt.Appendf(nil, `{"expected":"%s","new":"%s"}`, old, w.value())
}

// swapped notes that the swap of key i went through.
func (w *worker) swapped(i int) {
	if i >= 0 {
		w.last[i] = w.value()
	}
}

// forget makes the next swap of key i start from what the server says it is.
func (w *worker) forget(i int) {
	var p struct{ Current kw.Entry }
	if i >= 0 && json.Unmarshal(w.resp.Body(), &p) == nil && p.Current.Value != nil {
		w.last[i] = p.Current.Value
	}
}

// someKeys returns as many different keys as a batch has operations.
func (w *worker) someKeys() []int {
	first := rand.IntN(w.l.c.Keys)
	keys := make([]int, w.l.c.Ops)
	for i := range keys {
		keys[i] = (first + i) % w.l.c.Keys
	}
	return keys
}

// puts returns the body of a batch that sets keys to v.
func (l *load) puts(keys []int, v []byte) []byte {
	b := []byte(`{"ops":[`)
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(l.key(k)) // a string always can be
		b = fmt.Appendf(b, `{"op":"put","key":%s,"value":"%s"}`, name, v)
	}
	return append(b, `]}`...)
}

// fillFrom writes the keys from first to before end.
func (w *worker) fillFrom(first, end int) error {
	keys := make([]int, 0, end-first)
	for i := first; i < end; i++ {
		keys = append(keys, i)
	}
	w.set(http.MethodPost, "/v1/batch", w.l.puts(keys, w.l.filled))
	err := w.l.http.Do(w.req, w.resp)
	if code := w.judge(err); code != "" && err == nil {
		return fmt.Errorf("refused: %s", code)
	}
	return err
}

// judge returns "" for a good answer, else the code of what went wrong.
func (w *worker) judge(err error) string {
	if err != nil {
		return noAnswer
	}
	if status := w.resp.StatusCode(); status < 200 || status > 299 {
		var p struct{ Code string }
		if json.Unmarshal(w.resp.Body(), &p) != nil || p.Code == "" {
			return "status " + strconv.Itoa(status)
		}
		return p.Code
	}
	if d := w.resp.Header.Peek("Keywatch-Durability"); len(d) > 0 && w.l.durable.Load() == nil {
		text := string(d)
		w.l.durable.Store(&text)
	}
	return ""
}
