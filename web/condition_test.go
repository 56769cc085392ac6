package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Compare-and-swap by revision is what keeps two writers from overwriting each
// other; a failed one must show what stands there.
func TestIfMatch(t *testing.T) {
	w := newWorld(t)
	etag := w.want(201, "PUT", "/v1/kv/a", "1").header.Get("ETag")
	second := w.want(200, "PUT", "/v1/kv/a", "2", "If-Match", etag).header.Get("ETag")
	failed := w.refused(412, "compare_failed", "PUT", "/v1/kv/a", "3", "If-Match", etag)
	if got := failed.header.Get("ETag"); got != second {
		t.Errorf("ETag of the 412 is %s, want %s", got, second)
	}
	want := `"current":{"key":"a","value":"2","rev":2,"create_rev":1,"version":2,"tier":"memory"}}`
	if !strings.HasSuffix(failed.body, want) {
		t.Errorf("got %s, want ...%s", failed.body, want)
	}
	w.want(200, "PUT", "/v1/kv/a", "3", "If-Match", "W/"+second)
	w.want(200, "PUT", "/v1/kv/a", "4", "If-Match", "*")
	w.refused(412, "compare_failed", "PUT", "/v1/kv/a", "5", "If-None-Match", "*")
	w.refused(412, "compare_failed", "DELETE", "/v1/kv/a", "", "If-Match", etag)
	w.want(204, "DELETE", "/v1/kv/a", "", "If-Match", `"7f3a9c21-4"`)
	if r := w.refused(412, "compare_failed", "PUT", "/v1/kv/a", "5", "If-Match", etag); !strings.HasSuffix(r.body, `"current":null}`) {
		t.Errorf("absent: got %s", r.body)
	}
	w.want(201, "PUT", "/v1/kv/a", "5", "If-None-Match", "*")
}

// An answer to a failed compare must not carry a value of any size.
func TestCurrentIsInlinedUpTo64KiB(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		size   int
		inline bool
	}{{64 << 10, true}, {64<<10 + 1, false}} {
		w.do("PUT", "/v1/kv/a", strings.Repeat("v", c.size))
		r := w.refused(412, "compare_failed", "PUT", "/v1/kv/a", "x", "If-None-Match", "*")
		if got := strings.Contains(r.body, `"value":`); got != c.inline {
			t.Errorf("%d bytes: inlined %v, want %v", c.size, got, c.inline)
		}
	}
}

// Conditional reads save the transfer only if they compare the right thing.
func TestIfNoneMatch(t *testing.T) {
	w := newWorld(t)
	etag := w.want(201, "PUT", "/v1/kv/a", "1").header.Get("ETag")
	r := w.want(304, "GET", "/v1/kv/a", "", "If-None-Match", etag)
	if r.body != "" || r.header.Get("ETag") != etag || r.header.Get("Keywatch-Position") == "" {
		t.Errorf("304: %q %v", r.body, r.header)
	}
	w.want(304, "HEAD", "/v1/kv/a", "", "If-None-Match", "W/"+etag)
	w.want(200, "GET", "/v1/kv/a", "", "If-None-Match", `"00000001-1"`)
	w.want(200, "PUT", "/v1/kv/a", "2")
	w.want(200, "GET", "/v1/kv/a", "", "If-None-Match", etag)
	w.refused(404, "key_not_found", "GET", "/v1/kv/b", "", "If-None-Match", etag)
}

// A TTL that is set, kept or dropped by mistake loses data or keeps it for ever.
func TestTTL(t *testing.T) {
	w := newWorld(t)
	w.want(201, "PUT", "/v1/kv/a?ttl=1h", "1")
	ttl := func() string { return w.want(200, "GET", "/v1/kv/a", "").header.Get("Keywatch-TTL") }
	if got := ttl(); len(got) != 7 { // 3599999 or so
		t.Errorf("after ttl=1h: Keywatch-TTL is %q", got)
	}
	w.want(200, "PUT", "/v1/kv/a?ttl=keep", "2")
	if got := ttl(); len(got) != 7 {
		t.Errorf("after ttl=keep: Keywatch-TTL is %q", got)
	}
	w.want(200, "PUT", "/v1/kv/a", "3")
	if got := ttl(); got != "" {
		t.Errorf("after a put without ttl: Keywatch-TTL is %q", got)
	}
	w.want(200, "PUT", "/v1/kv/a?ttl=87600h", "4")
	w.want(200, "PUT", "/v1/kv/a?ttl=1ms", "5")
	w.want(201, "PUT", "/v1/kv/b?ttl=3600", "6", "If-None-Match", "*")
}

// Compare-and-swap by value needs no earlier read.
func TestCASByValue(t *testing.T) {
	w := newWorld(t)
	r := w.want(201, "POST", "/v1/cas/a", `{"expected":null,"new":"one"}`)
	if r.body != `{"rev":1,"version":1,"created":true}` || r.header.Get("ETag") != `"7f3a9c21-1"` {
		t.Errorf("got %s %v", r.body, r.header)
	}
	w.refused(412, "compare_failed", "POST", "/v1/cas/a", `{"expected":null,"new":"two"}`)
	w.want(200, "POST", "/v1/cas/a", `{"expected":"b25l","new":"dHdv","encoding":"base64"}`)
	r = w.refused(412, "compare_failed", "POST", "/v1/cas/a", `{"expected":"one","new":"x"}`)
	if r.header.Get("ETag") != `"7f3a9c21-2"` || !strings.Contains(r.body, `"value":"two"`) {
		t.Errorf("got %s %v", r.body, r.header)
	}
	if r := w.want(200, "POST", "/v1/cas/a", `{"expected":"two","new":null}`); r.body != `{"deleted":true,"rev":3}` {
		t.Errorf("got %s", r.body)
	}
	if r := w.want(200, "POST", "/v1/cas/a", `{"expected":null,"new":null}`); r.body != `{"deleted":false,"rev":0}` {
		t.Errorf("got %s", r.body)
	}
	w.refused(412, "compare_failed", "POST", "/v1/cas/a", `{"expected":"","new":"x"}`)
}

// A retry with the same Idempotency-Key must give the first outcome again, not
// run again; and another request under the key must be told so.
func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	for i, c := range []struct {
		status             int
		method, path, body string
		headers            []string
	}{
		{201, "PUT", "/v1/kv/a?ttl=keep", "1", nil},
		{412, "PUT", "/v1/kv/a", "1", []string{"If-None-Match", "*"}},
		{412, "PUT", "/v1/kv/a", "1", []string{"If-Fence", "deploy=3"}},
		{201, "POST", "/v1/cas/c", `{"expected":null,"new":"x"}`, nil},
		{200, "POST", "/v1/batch", `{"ops":[{"op":"put","key":"d","value":"1"},{"op":"get","key":"d"}]}`, nil},
		{200, "POST", "/v1/batch", `{"checks":[{"key":"d","rev":0}],"ops":[],"else":[{"op":"put","key":"e","value":"1"}]}`, nil},
		{412, "POST", "/v1/batch", `{"checks":[{"key":"d","rev":0}],"ops":[{"op":"put","key":"e","value":"1"}]}`, nil},
		{200, "DELETE", "/v1/kv?prefix=d", "", nil},
		{204, "DELETE", "/v1/kv/a", "", nil},
		{404, "DELETE", "/v1/kv/a", "", nil},
	} {
		headers := append(c.headers, "Idempotency-Key", fmt.Sprint("key-", i))
		first := w.want(c.status, c.method, c.path, c.body, headers...)
		before := w.state.Position()
		again := w.want(c.status, c.method, c.path, c.body, headers...)
		if again.body != first.body || again.header.Get("ETag") != first.header.Get("ETag") {
			t.Errorf("%s %s: got %s, first %s", c.method, c.path, again.body, first.body)
		}
		if first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s %s: Idempotency-Replayed is %q, then %q", c.method, c.path,
				first.header.Get("Idempotency-Replayed"), again.header.Get("Idempotency-Replayed"))
		}
		if after := w.state.Position(); after != before {
			t.Errorf("%s %s ran twice: %v, %v", c.method, c.path, before, after)
		}
		w.refused(422, "idempotency_mismatch", "PUT", "/v1/kv/other", c.body, "Idempotency-Key", fmt.Sprint("key-", i))
	}
	same := []string{"Idempotency-Key", "same"}
	w.want(201, "PUT", "/v1/kv/f/g", "1", same...)
	w.want(201, "PUT", "/v1/kv/f%2Fg", "1", same...)
	for _, differs := range [][]string{
		{"PUT", "/v1/kv/f/g", "2"}, {"PUT", "/v1/kv/f/h", "1"}, {"PUT", "/v1/kv/f/g?ttl=1s", "1"},
		{"DELETE", "/v1/kv/f/g", ""}, {"PUT", "/v1/kv/f/g", "1", "If-None-Match", "*"}, {"PUT", "/v1/kv/f/g", "1", "If-Fence", "l=1"},
	} {
		w.refused(422, "idempotency_mismatch", differs[0], differs[1], differs[2], append(differs[3:], same...)...)
	}
}

// A client that moves to another network between a write and its repetition, or comes through
// another proxy, has another address: what it repeats must happen once all the same.
func TestIdempotencyKeyFromAnotherAddress(t *testing.T) {
	w := newWorld(t, trustLoopback)
	idem := []string{"Idempotency-Key", "k"}
	w.want(201, "PUT", "/v1/kv/a", "1", append(idem, "X-Forwarded-For", "192.0.2.1")...)
	r := w.want(201, "PUT", "/v1/kv/a", "1", append(idem, "X-Forwarded-For", "192.0.2.2")...)
	if r.header.Get("Idempotency-Replayed") != "true" {
		t.Error("a request that was repeated from another address was applied again")
	}
	w.refused(422, "idempotency_mismatch", "PUT", "/v1/kv/a", "2", append(idem, "X-Forwarded-For", "192.0.2.2")...)
}

// The raw value wins ties, because a cache or a client that gets JSON instead
// would take it for the value.
func TestNegotiation(t *testing.T) {
	w := newWorld(t)
	w.want(201, "PUT", "/v1/kv/a", "1")
	for accept, want := range map[string]string{
		"":                                  "application/octet-stream",
		"*/*":                               "application/octet-stream",
		"application/json, text/plain, */*": "application/octet-stream",
		"application/json":                  "application/json",
		"APPLICATION/JSON":                  "application/json",
		"application/json, */*;q=0.5":       "application/json",
		"application/*":                     "application/octet-stream",
		"application/octet-stream;q=0, */*": "application/json",
		"text/html,application/xml;q=0.9,*/*;q=0.8": "application/octet-stream",
		"image/*,*/*;q=0.8":                         "application/octet-stream",
		"application/json;q=0.4, */*;q=0.5":         "application/octet-stream",
	} {
		if got := w.want(200, "GET", "/v1/kv/a", "", "Accept", accept).header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q: got %s, want %s", accept, got, want)
		}
	}
}

// A read that says how far behind it is must do so, and only if it asked.
func TestConsistency(t *testing.T) {
	w := newWorld(t, func(o *optionsOf) { o.Lag = func() time.Duration { return 42 * time.Millisecond } })
	w.want(201, "PUT", "/v1/kv/a", "1")
	for _, path := range []string{"/v1/kv/a?consistency=local", "/v1/kv?consistency=local"} {
		if got := w.want(200, "GET", path, "").header.Get("Keywatch-Lag"); got != "42" {
			t.Errorf("%s: Keywatch-Lag is %q, want 42", path, got)
		}
	}
	if got := w.want(200, "GET", "/v1/kv/a?consistency=linearizable", "").header.Get("Keywatch-Lag"); got != "" {
		t.Errorf("Keywatch-Lag is %q", got)
	}
}
