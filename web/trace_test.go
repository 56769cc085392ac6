package web_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/web"
)

// traceModes are what traces may be set to, and what a request then says.
var traceModes = []struct {
	name        string
	tracer      *trace.Tracer
	traceparent string
}{
	{"off", nil, ""},
	{"not sampled", trace.New(trace.Options{}), ""},
	{"flag 00", trace.New(trace.Options{Ratio: 1}), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
	{"sampled", trace.New(trace.Options{Ratio: 1}), ""},
}

// tracedRequest returns what answers a request for a key again and again, with one of the modes.
func tracedRequest(t testing.TB, mode int, method string) func() {
	m := traceModes[mode]
	log, hub := newStore(t, kv.Params{})
	s, err := web.New(web.Options{Store: kv.NewStore(log.state, log, kv.Limits{}), Hub: hub, Tracer: m.tracer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(t.Context()) })
	return requestOf(t, s.Handler(), method, m.traceparent)
}

// requestOf returns what has handler answer a request for a key, which is there, again and again.
func requestOf(t testing.TB, handler fasthttp.RequestHandler, method string, traceparent ...string) func() {
	var put, ctx fasthttp.RequestCtx
	for _, c := range []*fasthttp.RequestCtx{&put, &ctx} {
		c.Request.SetRequestURI("/v1/kv/bench/key")
		c.Request.Header.SetHost("127.0.0.1:7070")
		c.Request.Header.SetMethod("PUT")
		c.Request.SetBodyString(strings.Repeat("v", 128))
	}
	handler(&put)
	if ctx.Request.Header.SetMethod(method); method == "GET" {
		ctx.Request.SetBodyString("")
	}
	for _, parent := range traceparent {
		if parent != "" {
			ctx.Request.Header.Set("Traceparent", parent)
		}
	}
	return func() {
		handler(&ctx)
		if got := ctx.Response.StatusCode(); got != 200 {
			t.Fatalf("got %d %s", got, ctx.Response.Body())
		}
		ctx.Response.Reset()
	}
}

// BenchmarkTraces compares, in turns in one run, what a request takes with traces off, with those
// that do not sample it, and sampled. It prints the median of the turns.
func BenchmarkTraces(b *testing.B) {
	for _, method := range []string{"GET", "PUT"} {
		b.Run(method, func(b *testing.B) {
			var runs []func()
			for mode := range traceModes {
				runs = append(runs, tracedRequest(b, mode, method))
			}
			took := turns(b, runs)
			for mode, m := range traceModes {
				b.ReportMetric(took[mode], strings.ReplaceAll(m.name, " ", "-")+"-ns/op")
			}
		})
	}
}

// turns runs each of runs in turn, again and again, a millisecond or so each, and returns the
// median time of one call of each, in nanoseconds.
func turns(b *testing.B, runs []func()) []float64 {
	const calls = 400
	times := make([][]float64, len(runs))
	for b.Loop() {
		for i, run := range runs {
			began := time.Now()
			for range calls {
				run()
			}
			times[i] = append(times[i], float64(time.Since(began).Nanoseconds())/calls)
		}
	}
	medians := make([]float64, len(runs))
	for i := range times {
		slices.Sort(times[i])
		medians[i] = times[i][len(times[i])/2]
	}
	return medians
}
