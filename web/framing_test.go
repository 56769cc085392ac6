package web_test

import (
	"fmt"
	"strings"
	"testing"
)

// If this failed, a proxy that reads a head in another way than this server could be made to pass
// on a request that it never saw.
func TestDoubtfulFramingEndsTheConnection(t *testing.T) {
	w := newWorld(t)
	hidden := fmt.Sprintf("PUT /v1/kv/hidden HTTP/1.1\r\nHost: %s\r\nContent-Length: 1\r\n\r\nx", w.addr)
	for name, head := range map[string]string{
		"coding after a bare LF":   "X: y\nTransfer-Encoding: chunked\r\n",
		"coding before a bare LF":  "Transfer-Encoding: chunked\nX: y\r\n",
		"folded coding":            "Transfer-Encoding:\r\n chunked\r\n",
		"folded with a tab":        "X: y\r\n\tz\r\nTransfer-Encoding: chunked\r\n",
		"identity":                 "Transfer-Encoding: identity\r\n",
		"a coding that is unknown": "Transfer-Encoding: gzip, chunked\r\n",
		"twice chunked":            "Transfer-Encoding: chunked, chunked\r\n",
		"both lengths":             "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"both, the other way":      "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
	} {
		got := w.raw("PUT /v1/kv/a HTTP/1.1\r\nHost: " + w.addr + "\r\n" + head + "\r\n0\r\n\r\n" + hidden)
		if n := strings.Count(got, "Date: "); n != 1 {
			t.Errorf("%s: %d answers on the connection, want 1 and its end: %q", name, n, got)
		}
		if r := w.do("GET", "/v1/kv/hidden", ""); r.status != 404 {
			t.Fatalf("%s: the hidden request was carried out", name)
		}
	}
	got := w.raw("PUT /v1/kv/a HTTP/1.0\r\nHost: " + w.addr + "\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + hidden)
	if n := strings.Count(got, "Date: "); n != 1 {
		t.Errorf("chunks in HTTP/1.0: %d answers on the connection, want 1 and its end: %q", n, got)
	}
	w.want(201, "PUT", "/v1/kv/fine", "1", "X-Folds-Not", "a; b\tc")
}

// Tools that fetch again what changed send a date from the second time on, which a server
// without dates must ignore; only a write that asks for a condition must not go without it.
func TestConditionsOnDates(t *testing.T) {
	w := newWorld(t)
	const date = "Mon, 30 Nov 2026 00:00:00 GMT"
	w.want(201, "PUT", "/v1/kv/a", "1", "If-Modified-Since", date)
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
		w.want(200, "GET", "/v1/kv/a", "", name, date)
		w.want(200, "HEAD", "/v1/kv/a", "", name, date)
		w.want(200, "GET", "/v1/kv?prefix=a", "", name, date)
	}
	for _, method := range []string{"PUT", "DELETE"} {
		w.refused(400, "bad_condition", method, "/v1/kv/a", "", "If-Unmodified-Since", date)
	}
	w.refused(400, "bad_condition", "POST", "/v1/batch", `{"ops":[]}`, "If-Unmodified-Since", date)
}
