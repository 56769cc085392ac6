package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"

	"keywatch/app"
	"keywatch/test/cputime"
)

// A benchServer is a durable server on a port of its own.
type benchServer struct {
	b    *testing.B
	url  string
	http *fasthttp.Client
}

func newBenchServer(b *testing.B) *benchServer {
	return newBenchServerWith(b, app.Config{Data: b.TempDir()})
}

func newBenchServerWith(b *testing.B, config app.Config) *benchServer {
	ctx, cancel := context.WithCancel(b.Context())
	at, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		done <- app.Serve(ctx, app.ServeConfig{Config: config, Listen: "127.0.0.1:0"}, func(a net.Addr) { at <- a })
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	select {
	case a := <-at:
		return &benchServer{b, "http://" + a.String(), &fasthttp.Client{MaxConnsPerHost: 1000}}
	case err := <-done:
		done <- nil
		b.Fatal(err)
		return nil
	}
}

// do sends a request and decodes its answer into to, if not nil.
func (s *benchServer) do(want int, method, path, body string, to any) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(method)
	req.SetRequestURI(s.url + path)
	req.SetBodyString(body)
	if err := s.http.Do(req, resp); err != nil {
		s.b.Error(err)
		return
	}
	if resp.StatusCode() != want {
		s.b.Errorf("%s %s: got %d %s, want %d", method, path, resp.StatusCode(), resp.Body(), want)
	}
	if to != nil {
		if err := json.Unmarshal(resp.Body(), to); err != nil {
			s.b.Error(err)
		}
	}
}

type held struct{ Token uint64 }

func (s *benchServer) unlock(h held) {
	s.do(204, "DELETE", fmt.Sprintf("/v1/locks/l?token=%d", h.Token), "", nil)
}

// BenchmarkLockUnlock takes a lock and releases it, durably, over HTTP, one
// client.
func BenchmarkLockUnlock(b *testing.B) {
	s := newBenchServer(b)
	for b.Loop() {
		var h held
		s.do(200, "POST", "/v1/locks/l", `{"ttl":"10s"}`, &h)
		s.unlock(h)
	}
}

// queue returns how many wait.
func (s *benchServer) queue() int {
	var status struct {
		Waiters int `json:"lock_waiters"`
	}
	s.do(200, "GET", "/v1/status", "", &status)
	return status.Waiters
}

// BenchmarkKeepalive renews leases of 100,000 over HTTP, 64 clients at once, and
// says what share of a core server and clients together need for a renewal of
// each every 5 s.
func BenchmarkKeepalive(b *testing.B) {
	const leases, clients = 100_000, 64
	s := newBenchServer(b)
	ids := make([]string, leases)
	each := func(n int, f func(i int)) {
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				for i := c; i < n; i += clients {
					f(i)
				}
			})
		}
		wg.Wait()
	}
	each(leases, func(i int) {
		var l struct{ ID string }
		s.do(201, "POST", "/v1/leases", `{"ttl":"10m"}`, &l)
		ids[i] = strings.Clone(l.ID)
	})
	b.ResetTimer()
	before := cputime.Used()
	each(b.N, func(i int) { s.do(200, "POST", "/v1/leases/"+ids[i%leases]+"/keepalive", "", nil) })
	b.StopTimer()
	perLease := (cputime.Used() - before).Seconds() / float64(b.N)
	b.ReportMetric(perLease*1e6, "cpu-us/op")
	b.ReportMetric(perLease*leases/5, "cores-with-clients")
}
