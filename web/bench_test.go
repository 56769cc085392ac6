package web_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"keywatch/kv"
	"keywatch/web"
)

// A bench is a server without a network.
type bench struct{ handler fasthttp.RequestHandler }

func newBench(b *testing.B) *bench {
	log, hub := newStore(b, kv.Params{})
	s, err := web.New(web.Options{Store: kv.NewStore(log.state, log, kv.Limits{}), Hub: hub})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Shutdown(b.Context()) })
	return &bench{handler: s.Handler()}
}

func (w *bench) run(b *testing.B, method, path, body string, want ...int) {
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	ctx.Request.Header.SetHost("127.0.0.1:7070")
	ctx.Request.SetBodyString(body)
	b.ReportAllocs()
	for b.Loop() {
		w.handler(&ctx)
		if got := ctx.Response.StatusCode(); !slices.Contains(want, got) {
			b.Fatalf("got %d %s", got, ctx.Response.Body())
		}
		ctx.Response.Reset()
	}
}

// BenchmarkGet is a read of one key without the network.
func BenchmarkGet(b *testing.B) {
	w := newBench(b)
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod("PUT")
	ctx.Request.SetRequestURI("/v1/kv/bench/key")
	ctx.Request.Header.SetHost("127.0.0.1:7070")
	ctx.Request.SetBodyString(strings.Repeat("v", 128))
	w.handler(&ctx)
	w.run(b, "GET", "/v1/kv/bench/key", "", 200)
}

// BenchmarkPut is a write of one key without the network or a disk.
func BenchmarkPut(b *testing.B) {
	newBench(b).run(b, "PUT", "/v1/kv/bench/key?ttl=30s", strings.Repeat("v", 128), 200, 201)
}
