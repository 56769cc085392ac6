package web_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"keywatch/kv"
	"keywatch/web"
)

// Whatever comes in, the answer is never a 5xx or a panic, and one that says
// 4xx has changed nothing.
func FuzzRequest(f *testing.F) {
	for _, s := range [][6]string{
		{"GET", "/v1/kv/a", "Accept", "application/json;q=0.3, */*", "", ""},
		{"GET", "/v1/kv/a%2Fb?consistency=local", "If-None-Match", `W/"7f3a9c21-1"`, "", ""},
		{"PUT", "/v1/kv/a?ttl=250ms", "If-Match", `"7f3a9c21-1"`, "", "value"},
		{"PUT", "/v1/kv/%ff/../x?ttl=1h&lease=%20", "If-Fence", "deploy=3, a=4", "k", "value"},
		{"DELETE", "/v1/kv?prefix=a&all=1", "If-Match", "*", "k", ""},
		{"GET", "/v1/kv?prefix=a&limit=3&keys=1&cursor=MWEvYg", "Origin", "http://localhost", "", ""},
		{"POST", "/v1/batch", "Content-Encoding", "identity", "k", `{"checks":[{"key":"a","rev":0}],"ops":[{"op":"put","key":"a","value":"1"}],"else":[]}`},
		{"POST", "/v1/cas/a", "X-Forwarded-For", "::1, 1.2.3.4", "", `{"expected":null,"new":"x","ttl":"3s"}`},
		{"OPTIONS", "/v1/kv/a", "Access-Control-Request-Method", "PUT", "", ""},
		{"BREW", "http://localhost/v1/kv/a?#", "Host", "[::1]:x", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4], s[5])
	}
	log, hub := newStore(f, kv.Params{})
	server, err := web.New(web.Options{Store: storeOf(log), Hub: hub})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = server.Shutdown(f.Context()) })
	handler := server.Handler()
	f.Fuzz(func(t *testing.T, method, target, name, value, idem, body string) {
		if target == "" || waits(target) || strings.Contains(strings.ToLower(value), "event-stream") {
			t.Skip("a stream or a wait would outlast the test")
		}
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod(method)
		ctx.Request.Header.SetRequestURI(target)
		ctx.Request.Header.SetHost("localhost")
		ctx.Request.Header.Set(name, value)
		if idem != "" {
			ctx.Request.Header.Set("Idempotency-Key", idem)
		}
		ctx.Request.SetBodyString(body)
		before := log.state.Position()
		handler(&ctx)
		status := ctx.Response.StatusCode()
		if status >= 500 {
			t.Errorf("%s %q: got %d %s", method, target, status, ctx.Response.Body())
		}
		if status >= 400 && log.state.Position() != before {
			t.Errorf("%s %q: got %d, and something changed", method, target, status)
		}
		if status >= 400 && !json.Valid(ctx.Response.Body()) {
			t.Errorf("%s %q: got %q", method, target, ctx.Response.Body())
		}
	})
}

func waits(target string) bool {
	decoded, err := url.QueryUnescape(target)
	return err == nil && strings.Contains(decoded, "wait") || strings.Contains(target, "wait") || strings.Contains(target, "/v1/watch")
}

// Two readers of a credential that disagree would let in one caller as another: what is found in a header
// must stand there, once, and in one way.
func FuzzCredential(f *testing.F) {
	for _, s := range []string{
		"Bearer kwk_a", "bearer  kwk_a ", "Basic OmE=", "Basic YTpiOmM=", "Basic Og==", "Basic a", "Bearer", "Digest x",
		"__Host-keywatch=kws_a", "a=b; __Host-keywatch=kws_a;c", "__Host-keywatch=a; __Host-keywatch=b", "__Host-keywatch=a,__Host-keywatch=b", "__host-keywatch=a", "__Host-keywatch=",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if secret, ok := web.Credential(value); ok {
			scheme, rest, _ := strings.Cut(string(value), " ")
			rest = strings.Trim(rest, " ")
			switch strings.ToLower(scheme) {
			case "bearer":
				if string(secret) != rest {
					t.Errorf("%q: got %q", value, secret)
				}
			case "basic":
				plain, err := base64.StdEncoding.DecodeString(rest)
				if _, password, found := strings.Cut(string(plain), ":"); err != nil || !found || password != string(secret) {
					t.Errorf("%q: got %q of %q, %v", value, secret, plain, err)
				}
			default:
				t.Errorf("%q: got %q", value, secret)
			}
			if len(secret) == 0 {
				t.Errorf("%q: got nothing as a secret", value)
			}
		}
		const name = "__Host-keywatch="
		secret, err := web.SessionCookie(value)
		if len(secret) > 0 && (err != nil || !strings.Contains(string(value), name+string(secret)) || strings.ContainsAny(string(secret), ";,")) {
			t.Errorf("%q: got %q, %v", value, secret, err)
		}
		for _, apart := range []string{";", "; ", ","} { // beside another one it is none
			if _, err := web.SessionCookie([]byte(string(value) + apart + name + "kws_b")); len(secret) > 0 && err == nil {
				t.Errorf("%q beside another one: it is accepted", value)
			}
		}
	})
}
