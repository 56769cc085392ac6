package web_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"keywatch/web"
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

const putAB = "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nx\n\ny\r\n\r\n"

// inPieces sends pieces, each of which the server reads alone, and returns all that it
// answers until it closes the connection.
func inPieces(conn net.Conn, pieces ...string) string {
	answer := make(chan string)
	go func() {
		b, _ := io.ReadAll(conn)
		answer <- string(b)
	}()
	for _, piece := range pieces {
		_, _ = io.WriteString(conn, piece) // fails where the server has refused what came before
	}
	defer conn.Close()
	return <-answer
}

// If this failed, a client that ends lines with LF alone would wait a minute, and be told that it
// was slow.
func TestHeadWithBareLineFeeds(t *testing.T) {
	served(t, func(*web.Options) {}, func(t *testing.T, dial func() net.Conn) {
		for name, pieces := range map[string][]string{
			"all lines":        {"GET /v1/kv/a HTTP/1.1\nHost: localhost\n\n"},
			"without a header": {"GET /v1/kv/a HTTP/1.0\n\n"},
			"with a body":      {"PUT /v1/kv/b HTTP/1.1\nHost: localhost\nContent-Length: 2\n\nhi"},
			"only the end":     {"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\n"},
			"before the end":   {"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\n\r\n"},
			"in pieces":        {"GET /v1/kv/a HTTP/1.1\r", "\nHost: localhost", "\n", "\n"},
			"cut before LF":    {"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\n\r", "\n"},
			"after another":    {putAB, "GET /v1/kv/a HTTP/1.1\nHost: localhost\n\n"},
		} {
			got := inPieces(dial(), pieces...)
			if !strings.Contains(got, "HTTP/1.1 400 ") || !strings.Contains(got, "end each of its lines with CR LF") {
				t.Errorf("%s: got %q, want 400 that says so", name, got)
			}
		}
	})
}

// If this failed, a request whose head or body arrives in pieces could look like one whose
// lines end in LF alone.
func TestHeadInPieces(t *testing.T) {
	end := len(putAB) - len("\nx\n\ny\r\n\r\n")
	const last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	served(t, func(*web.Options) {}, func(t *testing.T, dial func() net.Conn) {
		for name, pieces := range map[string][]string{
			"whole":                {putAB},
			"empty lines before":   {"\r\n\n\r\n" + putAB},
			"three pieces":         {putAB[:20], putAB[20:30], putAB[30:]},
			"single bytes":         strings.Split(putAB, ""),
			"cut in the end":       {putAB[:end], putAB[end:]},
			"cut in the body":      {putAB[:end+3], putAB[end+3:]},
			"cut in a pipeline":    {putAB + putAB[:40], putAB[40:] + putAB[:end], putAB[end:]},
			"end and body cut":     {putAB + putAB[:end], putAB[end : end+4], putAB[end+4:]},
			"end cut, a body, cut": {putAB[:end], putAB[end:] + putAB[:60], putAB[60:]},
		} {
			got := inPieces(dial(), append(pieces, last)...)
			if strings.Contains(got, "HTTP/1.1 4") || !strings.HasSuffix(got, "ok\n") {
				t.Errorf("%s: got %q, want no refusal", name, got)
			}
		}
	})
}
