package web_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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

// A jsonOp is an operation as encoding/json reads it.
type jsonOp struct {
	Op, Key, Value, Encoding, Lease string
	TTL                             any
}

// The parser of batches must take nothing that encoding/json does not take, and
// read the same from what both take.
func FuzzBatchParse(f *testing.F) {
	for _, s := range []string{
		`{"ops":[]}`,
		`{"checks":[{"key":"a","rev":1},{"lock":"l","token":2},{"key":"b","value":"AA==","encoding":"base64"}],"ops":[{"op":"put","key":"k","value":"v","ttl":"3s"}],"else":[{"op":"get","key":"k"}]}`,
		"{\"ops\" : [ {\"value\":\"\\ud83d\\ude00\\u0000\\n\",\"op\":\"put\",\"key\":\"\\u00e9\",\"ttl\":7}\t,\r\n{\"op\":\"delete\",\"key\":\"z\"}]}",
		`{"ops":[{"op":"put","key":"a","value":"\ud800"}]}`,
		`{"ops":[{"op":"put","key":"a","value":"1","value":"2"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var c kv.Command
		if err := web.ParseBatch(bytes.Clone(doc), 1024, &c); err != nil {
			return
		}
		var want struct {
			Checks    []map[string]any
			Ops, Else []jsonOp
		}
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatalf("%q was taken, but %v", doc, err)
		}
		if len(want.Checks) != len(c.Checks) {
			t.Errorf("%q: %d checks, want %d", doc, len(c.Checks), len(want.Checks))
		}
		sameOps(t, c.Ops, want.Ops)
		sameOps(t, c.Else, want.Else)
	})
}

func sameOps(t *testing.T, got []kv.Op, want []jsonOp) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d operations, want %d", len(got), len(want))
	}
	for i, op := range got {
		value := []byte(want[i].Value)
		if want[i].Encoding != "" {
			var err error
			if value, err = base64.StdEncoding.DecodeString(want[i].Value); err != nil {
				t.Errorf("operation %d: %v", i, err)
			}
		}
		if op.Key != want[i].Key || !bytes.Equal(op.Value, value) {
			t.Errorf("operation %d: got %q %q, want %q %q", i, op.Key, op.Value, want[i].Key, value)
		}
	}
}

// What encoding/json writes for a batch must be read back as it was, or clients
// that use a common library are refused or misread.
func FuzzBatchRoundTrip(f *testing.F) {
	f.Add("key", "value", []byte{0xff}, uint64(3))
	f.Add("é\u2028\"\\", "\x00<>&\u007f\U0010ffff", []byte("text"), uint64(1<<64-1))
	f.Fuzz(func(t *testing.T, key, value string, raw []byte, rev uint64) {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			t.Skip()
		}
		doc, err := json.Marshal(map[string]any{
			"checks": []any{map[string]any{"key": key, "rev": rev}, map[string]any{"key": key, "value": value}},
			"ops": []any{
				map[string]any{"op": "put", "key": key, "value": value, "ttl": "3s"},
				map[string]any{"op": "put", "key": key + "2", "value": raw, "encoding": "base64"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if raw == nil {
			doc = bytes.Replace(doc, []byte("null"), []byte(`""`), 1)
		}
		var c kv.Command
		if err := web.ParseBatch(doc, 10, &c); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if c.Ops[0].Key != key || string(c.Ops[0].Value) != value || c.Ops[0].TTL != 3*time.Second || !bytes.Equal(c.Ops[1].Value, raw) {
			t.Errorf("%s: got %+v", doc, c.Ops)
		}
		if c.Checks[0].Key != key || c.Checks[0].N != rev || string(c.Checks[1].Value) != value {
			t.Errorf("%s: got %+v", doc, c.Checks)
		}
	})
}

// A string that goes out must come back as it was from every JSON parser.
func FuzzString(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\u2028\u2029\U0001f600\xff\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, s string) {
		b := web.AppendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %s: %v", s, b, err)
		}
		if want := string([]rune(s)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if bytes.ContainsAny(b, "\n\r") || strings.ContainsAny(string(b), "\u2028\u2029") {
			t.Errorf("%q has a line break", b)
		}
	})
}

// A duration that is read is one that can be written down again: not negative,
// and the same as Go's own reading.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30s", "250ms", "24h", "7", "1.5", "1h30m", "0", "-1s", "1e9", "9223372036854775807h", "1.s", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := web.ParseDuration(s)
		if !ok {
			return
		}
		want, err := time.ParseDuration(s)
		if err != nil {
			want, err = time.ParseDuration(s + "s")
		}
		if err != nil || d != want || d < 0 {
			t.Errorf("%q: got %v, want %v, %v", s, d, want, err)
		}
	})
}

// Durations are what people type most; each of these has one meaning.
func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"250ms": 250 * time.Millisecond, "30s": 30 * time.Second, "24h": 24 * time.Hour, "7": 7 * time.Second,
		"1.5": 1500 * time.Millisecond, "1h30m": 90 * time.Minute, "0": 0,
	} {
		if got, ok := web.ParseDuration(text); !ok || got != want {
			t.Errorf("%q: got %v %v, want %v", text, got, ok, want)
		}
	}
	bad := []string{"", "s", "-1s", "+1s", " 1s", "1s ", "1d", "1us", "1e3", "0x10", ".5s", "1..5", "9223372036854775807h", strings.Repeat("1", 40)}
	if i := slices.IndexFunc(bad, func(s string) bool { _, ok := web.ParseDuration(s); return ok }); i >= 0 {
		t.Errorf("%q was taken", bad[i])
	}
}
