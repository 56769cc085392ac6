package web_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"keywatch/kv"
	"keywatch/web"
)

// A slowFigure takes a second to read, and counts how often it is.
type slowFigure struct {
	desc *prometheus.Desc
	read int
}

func (f *slowFigure) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

func (f *slowFigure) Collect(ch chan<- prometheus.Metric) {
	time.Sleep(time.Second)
	f.read++
	ch <- prometheus.MustNewConstMetric(f.desc, prometheus.CounterValue, float64(f.read))
}

// If this failed, clients that ask for metrics or status all at once would take all
// processors from writes, or be told of a time before they asked.
func TestAnswersAboutTheServerAreShared(t *testing.T) {
	warm := newWorld(t) // fasthttp starts a goroutine for the date with its first answer
	warm.want(200, "GET", "/healthz", "")
	for path, last := range map[string]string{"/metrics": "\nslow_figure 2\n", "/v1/status": `"detail":2`} {
		synctest.Test(t, func(t *testing.T) {
			figure := &slowFigure{desc: prometheus.NewDesc("slow_figure", "A figure.", nil, nil)}
			status := 0
			ask := handlerOf(t, func(o *web.Options) {
				o.Registry = prometheus.NewRegistry()
				o.Registry.MustRegister(figure)
				o.Admin.Status = func() any {
					time.Sleep(time.Second)
					status++
					return status
				}
			})
			get := func(path string) string { return ask("GET", path) }
			began := time.Now()
			go get(path)
			synctest.Wait()
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if body := get(path); !strings.Contains(body, last) {
						t.Errorf("%s: got %q, want %q in it", path, body, last)
					}
				})
			}
			all.Wait()
			if took := time.Since(began); took < 2*time.Second+10*time.Millisecond || took > 3*time.Second {
				t.Errorf("%s: two renderings took %v, want a pause between them", path, took)
			}
			if n := figure.read + status; n != 2 {
				t.Errorf("%s: rendered %d times for 51 requests, want 2", path, n)
			}
		})
	}
}

// If this failed, anyone could queue more compactions than the server ever finishes.
func TestJobsAreShared(t *testing.T) {
	warm := newWorld(t)
	warm.want(200, "GET", "/healthz", "")
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		ask := handlerOf(t, func(o *web.Options) {
			o.Admin.Compact = func(context.Context) error {
				time.Sleep(time.Second)
				runs++
				return nil
			}
		})
		go ask("POST", "/v1/admin/compact")
		synctest.Wait()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if body := ask("POST", "/v1/admin/compact"); !strings.Contains(body, "took_ms") || runs != 2 {
					t.Errorf("got %q after %d runs, want an answer after the second", body, runs)
				}
			})
		}
		all.Wait()
		if runs != 2 {
			t.Errorf("%d runs for 51 requests, want 2", runs)
		}
	})
}

// If this failed, one broken figure would let every later request for metrics wait for ever.
func TestRenderingPanics(t *testing.T) {
	broken := true
	w := newWorld(t, func(o *web.Options) {
		o.Admin.Status = func() any {
			if broken {
				panic("broken")
			}
			return 1
		}
	})
	w.refused(500, "internal", "GET", "/v1/status", "")
	broken = false
	w.want(200, "GET", "/v1/status", "")
}

// handlerOf returns what sends a request to a server without a network and returns the body.
func handlerOf(t *testing.T, change func(*web.Options)) func(method, path string) string {
	log, hub := newStore(t, kv.Params{})
	opts := web.Options{Store: storeOf(log), Hub: hub, Durability: web.DurabilityMemory}
	change(&opts)
	server, err := web.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	return func(method, path string) string {
		var f fasthttp.RequestCtx
		f.Request.Header.SetMethod(method)
		f.Request.SetRequestURI(path)
		f.Request.Header.SetHost("localhost")
		server.Handler()(&f)
		return string(f.Response.Body())
	}
}
