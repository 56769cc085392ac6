package web_test

import (
	"fmt"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/web"
)

// A malformed request that is half understood does something that was not asked
// for. Each of these must be refused by name and change nothing.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.want(201, "PUT", "/v1/kv/a", "1")
	long := strings.Repeat("k", 1025)
	for _, c := range []struct {
		status             int
		code               string
		method, path, body string
		headers            []string
	}{
		// Keys.
		{400, "bad_key", "PUT", "/v1/kv/", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/a/", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv//a", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/a%2f%2Fb", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/a/./b", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/a/%2e%2e/b", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/..", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/a%00b", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/a%c2%85b", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/%ff", "1", nil},
		{400, "bad_key", "PUT", "/v1/kv/" + long, "1", nil},
		{400, "bad_key", "POST", "/v1/cas/", `{"expected":null,"new":"1"}`, nil},
		{403, "reserved_key", "PUT", "/v1/kv/locks/deploy", "1", nil},
		{403, "reserved_key", "DELETE", "/v1/kv/locks%2Fdeploy", "", nil},
		{403, "reserved_key", "DELETE", "/v1/kv?prefix=locks/", "", nil},
		{403, "reserved_key", "POST", "/v1/cas/locks/x", `{"expected":null,"new":"1"}`, nil},
		// Parameters.
		{400, "bad_parameter", "PUT", "/v1/kv/a?tll=3s", "1", nil},
		{400, "bad_parameter", "PUT", "/v1/kv/a?ttl=3s&ttl=4s", "1", nil},
		{400, "bad_parameter", "PUT", "/v1/kv/a?ttl=%zz", "1", nil},
		{400, "bad_parameter", "PUT", "/v1/kv/a?=1", "1", nil},
		{400, "bad_parameter", "PUT", "/v1/kv/a?&", "1", nil},
		{400, "bad_parameter", "DELETE", "/v1/kv/a?ttl=3s", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv/a?consistency=weak", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv?limit=0", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv?limit=10001", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv?limit=+5", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv?limit=99999999999999999999", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv?keys=yes", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv?cursor=nonsense", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv?limit=5", "", []string{"Accept", "application/x-ndjson"}},
		{400, "bad_parameter", "GET", "/v1/status?x=1", "", nil},
		{400, "bad_parameter", "GET", "/v1/kv/a", "", []string{"Accept", "text/html;q=2"}},
		{400, "bad_key", "GET", "/v1/kv?prefix=a//", "", nil},
		{400, "prefix_required", "DELETE", "/v1/kv", "", nil},
		{400, "prefix_required", "DELETE", "/v1/kv?prefix=", "", nil},
		{400, "prefix_required", "DELETE", "/v1/kv?all=1", "", nil},
		// Durations.
		{400, "bad_duration", "PUT", "/v1/kv/a?ttl=0", "1", nil},
		{400, "bad_duration", "PUT", "/v1/kv/a?ttl=", "1", nil},
		{400, "bad_duration", "PUT", "/v1/kv/a?ttl=-3s", "1", nil},
		{400, "bad_duration", "PUT", "/v1/kv/a?ttl=0.5ms", "1", nil},
		{400, "bad_duration", "PUT", "/v1/kv/a?ttl=3d", "1", nil},
		{400, "bad_duration", "PUT", "/v1/kv/a?ttl=11000d", "1", nil},
		{400, "bad_duration", "PUT", "/v1/kv/a?ttl=87601h", "1", nil},
		{400, "bad_duration", "PUT", "/v1/kv/a?ttl=1e3", "1", nil},
		{400, "bad_duration", "GET", "/v1/kv/a?wait=5m1s", "", nil},
		{400, "bad_duration", "GET", "/v1/kv/a?wait=soon", "", nil},
		// Conditions.
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Match", "1"}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Match", `"1"`}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Match", ""}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Match", `"7f3a9c21-1", "7f3a9c21-2"`}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Match", `"7f3a9c21-1"`, "If-Match", `"7f3a9c21-2"`}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Match", `"7F3A9C21-1"`}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-None-Match", `"7f3a9c21-1"`}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Unmodified-Since", "Sat, 21 Nov 2026 11:30:06 GMT"}},
		{400, "bad_condition", "DELETE", "/v1/kv/a", "", []string{"If-None-Match", "*"}},
		{400, "bad_condition", "DELETE", "/v1/kv?prefix=a", "", []string{"If-Match", `"7f3a9c21-1"`}},
		{400, "bad_condition", "GET", "/v1/kv/a", "", []string{"If-Match", `"7f3a9c21-1"`}},
		{400, "bad_condition", "GET", "/v1/kv/a", "", []string{"If-None-Match", "*"}},
		{400, "bad_condition", "GET", "/v1/kv/a", "", []string{"If-Fence", "deploy=3"}},
		{400, "bad_condition", "GET", "/v1/kv", "", []string{"If-None-Match", `"7f3a9c21-1"`}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Fence", "deploy"}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Fence", "deploy=0"}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Fence", "deploy=+3"}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Fence", "a/b=3"}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Fence", "deploy=3,"}},
		{400, "bad_condition", "PUT", "/v1/kv/a", "1", []string{"If-Fence", ""}},
		{400, "bad_condition", "POST", "/v1/batch", `{"ops":[]}`, []string{"If-Match", `"7f3a9c21-1"`}},
		{400, "bad_condition", "POST", "/v1/cas/a", `{"expected":"1","new":"2"}`, []string{"If-Match", `"7f3a9c21-1"`}},
		{412, "compare_failed", "PUT", "/v1/kv/a", "1", []string{"If-Match", `"00000001-1"`}},
		{412, "compare_failed", "PUT", "/v1/kv/absent", "1", []string{"If-Match", `"7f3a9c21-0"`}},
		{412, "compare_failed", "PUT", "/v1/kv/absent", "1", []string{"If-Match", "*"}},
		{412, "compare_failed", "DELETE", "/v1/kv/absent", "", []string{"If-Match", `"7f3a9c21-1"`}},
		{412, "fence_lost", "PUT", "/v1/kv/a", "1", []string{"If-Fence", "deploy=3, other=4"}},
		{412, "fence_lost", "POST", "/v1/batch", `{"checks":[{"key":"a","rev":9}],"ops":[],"else":[{"op":"put","key":"b","value":""}]}`, []string{"If-Fence", "deploy=3"}},
		{409, "lease_ended", "PUT", "/v1/kv/a?lease=l-1", "1", nil},
		{409, "lease_ended", "POST", "/v1/cas/a", `{"expected":"1","new":"2","lease":"l-1"}`, nil},
		{409, "lease_ended", "POST", "/v1/batch", `{"ops":[{"op":"put","key":"b","value":"1","lease":"l-1"}]}`, nil},
		{400, "bad_parameter", "PUT", "/v1/kv/a", "1", []string{"Idempotency-Key", ""}},
		{400, "bad_parameter", "PUT", "/v1/kv/a", "1", []string{"Idempotency-Key", "a b"}},
		{400, "bad_parameter", "PUT", "/v1/kv/a", "1", []string{"Idempotency-Key", strings.Repeat("i", 129)}},
		{400, "bad_parameter", "PUT", "/v1/kv/a", "1", []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}},
		// Bodies.
		{415, "encoding_not_supported", "PUT", "/v1/kv/a", "1", []string{"Content-Encoding", "gzip"}},
		{415, "encoding_not_supported", "POST", "/v1/batch", `{"ops":[]}`, []string{"Content-Encoding", "br"}},
		{415, "encoding_not_supported", "POST", "/v1/watch", `{"keys":["a"]}`, []string{"Content-Encoding", "gzip"}},
		{400, "bad_json", "POST", "/v1/cas/a", ``, nil},
		{400, "bad_json", "POST", "/v1/cas/a", `{"expected":"1"}`, nil},
		{400, "bad_json", "POST", "/v1/cas/a", `{"expected":"1","new":null,"ttl":"3s"}`, nil},
		{400, "bad_json", "POST", "/v1/cas/a", `{"expected":1,"new":"2"}`, nil},
		{400, "bad_json", "POST", "/v1/cas/a", `{"expected":"1","new":"2","expected":"1"}`, nil},
		{400, "bad_value", "POST", "/v1/cas/a", `{"expected":"1","new":"MQ==","encoding":"base64"}`, nil},
		{400, "bad_value", "POST", "/v1/cas/a", `{"expected":"MQ==","new":"Mg==","encoding":"hex"}`, nil},
		// Routes and methods.
		{404, "no_route", "GET", "/v1/kvs", "", nil},
		{404, "no_route", "GET", "/V1/kv/a", "", nil},
		{404, "no_route", "PUT", "/v1/KV/a", "1", nil},
		{404, "no_route", "GET", "/healthz/", "", nil},
		{404, "no_route", "POST", "/v1/batch/", `{"ops":[]}`, nil},
		{404, "no_route", "GET", "/v1/locks", "", nil},
		{404, "no_route", "GET", "/v1/locks/a/b", "", nil},
		{404, "no_route", "GET", "/v1/locks//keepalive", "", nil},
		{405, "method_not_allowed", "GET", "/v1/leases", "", nil},
		{405, "method_not_allowed", "GET", "/v1/locks/x/keepalive", "", nil},
		{404, "lease_not_found", "GET", "/v1/leases/l-1", "", nil},
		{404, "lease_not_found", "DELETE", "/v1/leases/l-00000000000000000000000000000001", "", nil},
		{404, "lease_not_found", "POST", "/v1/leases/l-00000000000000000000000000000001/keepalive", "", nil},
		{400, "bad_json", "POST", "/v1/leases", `{}`, nil},
		{400, "bad_json", "POST", "/v1/leases", `{"ttl":"10s","id":"mine"}`, nil},
		{400, "bad_duration", "POST", "/v1/leases", `{"ttl":"0s"}`, nil},
		{400, "bad_duration", "POST", "/v1/leases", `{"ttl":"keep"}`, nil},
		{400, "bad_parameter", "POST", "/v1/leases?ttl=1s", `{"ttl":"10s"}`, nil},
		{400, "bad_key", "POST", "/v1/locks/-x", `{"ttl":"10s"}`, nil},
		{400, "bad_key", "POST", "/v1/locks/a%2Fb", `{"ttl":"10s"}`, nil},
		{400, "bad_json", "POST", "/v1/locks/x", ``, nil},
		{400, "bad_json", "POST", "/v1/locks/x", `{"wait":"1s"}`, nil},
		{400, "bad_duration", "POST", "/v1/locks/x", `{"ttl":"10s","wait":"6m"}`, nil},
		{400, "bad_value", "POST", "/v1/locks/x", `{"ttl":"10s","owner":"` + strings.Repeat("o", 1025) + `"}`, nil},
		{400, "bad_condition", "POST", "/v1/locks/x", `{"ttl":"10s"}`, []string{"If-None-Match", "*"}},
		{412, "fence_lost", "POST", "/v1/locks/x", `{"ttl":"10s"}`, []string{"If-Fence", "y=1"}},
		{400, "bad_json", "POST", "/v1/locks/x/keepalive", `{}`, nil},
		{409, "lock_lost", "POST", "/v1/locks/x/keepalive", `{"token":1}`, nil},
		{400, "bad_parameter", "DELETE", "/v1/locks/x", "", nil},
		{400, "bad_parameter", "DELETE", "/v1/locks/x?token=1&force=1", "", nil},
		{400, "bad_parameter", "DELETE", "/v1/locks/x?token=+1", "", nil},
		{409, "lock_lost", "DELETE", "/v1/locks/x?token=1", "", nil},
		{404, "lock_not_held", "DELETE", "/v1/locks/x?force=1", "", nil},
		{404, "lock_not_held", "GET", "/v1/locks/x", "", nil},
		{403, "reserved_key", "PUT", "/v1/kv/locks/x", "1", nil},
		{403, "reserved_key", "PUT", "/v1/kv/locks/x/queue/1", "1", nil},
		{403, "reserved_key", "DELETE", "/v1/kv/locks/x", "", nil},
		{403, "reserved_key", "POST", "/v1/cas/locks/x", `{"expected":null,"new":"1"}`, nil},
		{404, "no_route", "PUT", "/v1%2Fkv/a", "1", nil},
		{404, "no_route", "PROPFIND", "/nowhere", "", nil},
		{405, "method_not_allowed", "PATCH", "/v1/kv/a", "1", nil},
		{405, "method_not_allowed", "PROPFIND", "/v1/kv/a", "", nil},
		{405, "method_not_allowed", "POST", "/v1/kv/a", "1", nil},
		{405, "method_not_allowed", "GET", "/v1/batch", "", nil},
		{405, "method_not_allowed", "DELETE", "/v1/watch", "", nil},
		{406, "not_acceptable", "GET", "/v1/kv/a", "", []string{"Accept", "image/png"}},
		{406, "not_acceptable", "GET", "/v1/kv", "", []string{"Accept", "text/html"}},
		{406, "not_acceptable", "GET", "/v1/watch?key=a", "", []string{"Accept", "application/json"}},
		// Watches.
		{400, "bad_parameter", "GET", "/v1/watch", "", nil},
		{400, "bad_parameter", "GET", "/v1/watch?key=a&mode=some", "", nil},
		{400, "bad_parameter", "GET", "/v1/watch?key=a&state=2", "", nil},
		{400, "bad_parameter", "GET", "/v1/watch?key=a&named=2", "", nil},
		{400, "bad_parameter", "GET", "/v1/watch?key=a&since=x&state=1", "", nil},
		{400, "bad_parameter", "GET", "/v1/watch?key=a&interval=1s", "", nil},
		{400, "bad_duration", "GET", "/v1/watch?key=a&mode=latest&interval=0", "", nil},
		{400, "bad_duration", "GET", "/v1/watch?key=a&mode=latest&interval=2h", "", nil},
		{400, "bad_key", "GET", "/v1/watch?key=a//b", "", nil},
		{400, "bad_key", "GET", "/v1/watch?prefix=//", "", nil},
		{400, "bad_condition", "GET", "/v1/watch?key=a", "", []string{"If-None-Match", `"7f3a9c21-1"`}},
		{400, "bad_parameter", "GET", "/v1/kv/a?wait=3s", "", []string{"Accept", "text/event-stream"}},
		{400, "bad_json", "POST", "/v1/watch", `{"keys":["a"],"key":"b"}`, nil},
		{400, "bad_json", "POST", "/v1/watch", `{"keys":["a"],"state":1}`, nil},
		{400, "bad_json", "POST", "/v1/watch", `{"keys":"a"}`, nil},
		{400, "bad_parameter", "POST", "/v1/watch?key=a", `{"keys":["a"]}`, nil},
	} {
		w.refused(c.status, c.code, c.method, c.path, c.body, c.headers...)
	}
	if r := w.do("GET", "/v1/kv/a", ""); r.body != "1" {
		t.Errorf("the key became %q", r.body)
	}
}

// If an error does not say what was expected and what came, a newcomer has to guess.
func TestErrorsNameWhatIsExpected(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ method, path, body, want string }{
		{"PUT", "/v1/kv/a?TTL=3s", "1", "did you mean ttl?"},
		{"GET", "/v1/kv?page=2", "", "expected one of prefix, "},
		{"POST", "/v1/leases", "", "expected an object, got the end, at byte 0"},
		{"POST", "/v1/cas/a", `{"expected":1,"new":"2"}`, "expected a string, got a number, at byte 12"},
		{"POST", "/v1/batch", `[]`, "expected an object, got an array, at byte 0"},
		{"POST", "/v1/batch", `{"ops":null}`, "expected an array, got null, at byte 7"},
		{"POST", "/v1/leases", `{'ttl':'3s'}`, `expected a string, got \"'\", at byte 1`},
		{"POST", "/v1/leases", `{"time":"3s"}`, "expected one of ttl"},
	} {
		if r := w.do(c.method, c.path, c.body); r.status != 400 || !strings.Contains(r.body, c.want) {
			t.Errorf("%s %s %s: got %d %s, want %q in it", c.method, c.path, c.body, r.status, r.body, c.want)
		}
	}
	r := w.do("GET", "/v1/watch?key=a", "", "Accept", "application/json")
	if want := "expected one of text/event-stream, application/x-ndjson"; !strings.Contains(r.body, want) {
		t.Errorf("Accept: got %s, want %q in it", r.body, want)
	}
	if got, want := w.raw("GET /v1/kv/a HTTP/1.1\r\n\r\n"), "expected METHOD /PATH HTTP/1.1, one Host"; !strings.Contains(got, want) {
		t.Errorf("a request without Host: got %s, want %q in it", got, want)
	}
}

// Without Allow a client cannot tell what would work.
func TestAllow(t *testing.T) {
	w := newWorld(t)
	r := w.refused(405, "method_not_allowed", "PATCH", "/v1/kv/a", "")
	if got, want := r.header.Get("Allow"), "GET, HEAD, PUT, DELETE, OPTIONS"; got != want {
		t.Errorf("Allow is %q, want %q", got, want)
	}
	r = w.want(204, "OPTIONS", "/v1/batch", "")
	if got, want := r.header.Get("Allow"), "POST, OPTIONS"; got != want {
		t.Errorf("Allow is %q, want %q", got, want)
	}
}

// Each bound must hold just above its edge, with a code and the bound named,
// and let the edge itself through.
func TestBounds(t *testing.T) {
	w := newWorldWith(t, kv.Params{DeleteMax: 3}, kv.Limits{Value: 100, Ops: 4, Command: 1000}, func(o *web.Options) { o.MaxBody = 2000 })
	bound := func(r reply, want float64) {
		t.Helper()
		if got := r.field("limit"); got != want {
			t.Errorf("limit is %v, want %v", got, want)
		}
	}
	w.want(201, "PUT", "/v1/kv/edge", strings.Repeat("v", 100))
	bound(w.refused(413, "value_too_large", "PUT", "/v1/kv/a", strings.Repeat("v", 101)), 100)
	bound(w.refused(413, "body_too_large", "PUT", "/v1/kv/a", strings.Repeat("v", 2001)), 2000)
	ops := func(n, size int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"op":"put","key":"k%d","value":"%s"}`, i, strings.Repeat("v", size)))
		}
		return `{"ops":[` + strings.Join(all, ",") + `]}`
	}
	w.want(200, "POST", "/v1/batch", ops(4, 100))
	bound(w.refused(413, "batch_too_large", "POST", "/v1/batch", ops(5, 1)), 4)
	w.refused(413, "value_too_large", "POST", "/v1/batch", ops(1, 101))
	w.refused(413, "batch_too_large", "POST", "/v1/batch", `{"ops":[{"op":"get","key":"a"},{"op":"get","key":"a"}],"else":[{"op":"get","key":"a"},{"op":"get","key":"a"},{"op":"get","key":"a"}]}`)
	check := `{"key":"a","rev":0}`
	w.refused(413, "batch_too_large", "POST", "/v1/batch", `{"ops":[],"checks":[`+strings.Repeat(check+",", 4)+check+`]}`)
	bound(w.refused(413, "batch_too_large", "DELETE", "/v1/kv?prefix=k", ""), 3)
	w.want(204, "DELETE", "/v1/kv/k0", "")
	if r := w.want(200, "DELETE", "/v1/kv?prefix=k", ""); r.body != `{"deleted":3,"rev":4}` {
		t.Errorf("got %s", r.body)
	}
}

// What is not HTTP, or too much of it, must be answered in the same form as
// everything else, and without harm.
func TestMalformedHTTP(t *testing.T) {
	w := newWorld(t)
	big := strings.Repeat("x", 20_000)
	for _, c := range []struct{ request, status, code string }{
		{"GARBAGE\r\n\r\n", "400", "bad_request"},
		{"GET /v1/kv/a HTTP/9.9\r\nHost: localhost\r\n\r\n", "400", "bad_request"},
		{"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", "400", "bad_request"},
		{"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "400", "bad_request"},
		{"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400", "bad_request"},
		{"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX: " + big + "\r\n\r\n", "431", "head_too_large"},
		{"GET /v1/kv/" + big + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "431", "head_too_large"},
		{"GET /v1/kv/a HTTP/1.1\r\nConnection: close\r\n\r\n", "400", "bad_request"},
		{"GET /v1/kv/a HTTP/1.0\r\n\r\n", "421", "host_not_allowed"},
		{"GET /v1/kv/a HTTP/1.1\r\nHost: a@localhost\r\nConnection: close\r\n\r\n", "421", "host_not_allowed"},
		{"GET http://evil.example/v1/kv/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "421", "host_not_allowed"},
		{"GET /v1/kv/a#b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "400", "bad_request"},
		{"GET /v1/kv/%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "400", "bad_key"},
		{"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", "413", "body_too_large"},
	} {
		before := w.state.Position()
		got := w.raw(c.request)
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.status+" ") || !strings.Contains(got, `"code":"`+c.code+`"`) ||
			!strings.Contains(got, "Content-Type: application/problem+json") {
			t.Errorf("%.80q: got %.300q, want %s %s", c.request, got, c.status, c.code)
		}
		if w.state.Position() != before {
			t.Errorf("%.80q changed something", c.request)
		}
	}
	got := w.raw("GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("a target with scheme and host: got %q", got)
	}
}
