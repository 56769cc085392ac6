package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"keywatch/test/cputime"
)

// BenchmarkThreeOverHTTP puts values of 100 bytes, and gets them, at each of three servers of one store
// by 64 connections a server; servers and load are in this process, and logs are synced. Processor
// time is that of all of it.
func BenchmarkThreeOverHTTP(b *testing.B) {
	for _, op := range []string{"PUT", "GET"} {
		for _, servers := range []int{1, 3} {
			b.Run(fmt.Sprintf("%s/servers=%d", op, servers), func(b *testing.B) {
				s := startThree(b, 100*time.Millisecond)
				ask(b, "PUT", s.url[0]+"/v1/kv/bench/0", strings.Repeat("v", 100))
				load(b, op, s.url[:servers])
			})
		}
	}
}

// load has 64 connections to each of the servers send requests.
func load(b *testing.B, op string, urls []string) {
	const connections = 64
	per := b.N/(connections*len(urls)) + 1
	body := []byte(strings.Repeat("v", 100))
	used := cputime.Used()
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, url := range urls {
		client := &fasthttp.HostClient{Addr: strings.TrimPrefix(url, "http://"), MaxConns: connections}
		for i := range connections {
			wg.Go(func() {
				req, resp := new(fasthttp.Request), new(fasthttp.Response)
				req.SetRequestURI(fmt.Sprintf("%s/v1/kv/bench/%d", url, i))
				req.Header.SetMethod(op)
				if op == "PUT" {
					req.SetBody(body)
				} else {
					req.SetRequestURI(url + "/v1/kv/bench/0")
				}
				for range per {
					if err := client.Do(req, resp); err != nil || resp.StatusCode()/100 != 2 {
						b.Errorf("%s: got %d %s, %v", op, resp.StatusCode(), resp.Body(), err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	n := float64(per * connections * len(urls))
	b.ReportMetric(n/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64((cputime.Used()-used).Nanoseconds())/n, "cpu-ns/request")
}
