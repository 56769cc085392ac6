package web_test

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/test/gate"
	"keywatch/web"
)

// A pipeline is requests that are sent without a wait for answers: for event loops and for
// goroutines, in every order of the two.
var pipeline = []string{
	"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\none",
	"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\nContent-Length: 3\r\n\r\ntwo",
	"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 67\r\n\r\n" +
		`{"ops":[{"op":"put","key":"b","value":"1"},{"op":"get","key":"a"}]}`,
	"DELETE /v1/kv/b HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"GET /v1/kv?prefix=a&limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n",
	"GET /v1/kv/c HTTP/1.1\r\nHost: localhost\r\n\r\n",
}

// answers returns the answers to the pipeline, which is sent in two pieces.
func (c *wire) pipelined(requests string, split int) (answers []string) {
	c.t.Helper()
	c.send(requests[:split])
	c.send(requests[split:])
	for _, request := range pipeline {
		method, _, _ := strings.Cut(request, " ")
		answers = append(answers, c.answer(method))
	}
	return answers
}

// If this failed, an answer would go to another request than the one that asked for it, or a
// request would begin elsewhere, depending on how a client's bytes were cut into packets and
// on where the connection was handed over: what lets one request smuggle another.
func TestPipelinesAreReadAlikeAtEverySplit(t *testing.T) {
	requests := strings.Join(pipeline, "")
	slow := newWorld(t, inClear, goroutines)
	want := slow.wire(t).pipelined(requests, 0)
	if n := slow.server.FastAnswered(); n != 0 {
		t.Fatalf("%d answers to compare with are of the fast path", n)
	}
	step := 17
	if gate.Proving() {
		step = 1
	}
	for split := 0; split < len(requests); split += step {
		w := newWorld(t, inClear)
		conn := w.wire(t)
		got := conn.pipelined(requests, split)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("split at %d, %q:\ngot  %s\nwant %s", split, pipeline[i], got[i], want[i])
			}
		}
		if n := w.server.FastAnswered(); n < 5 {
			t.Fatalf("split at %d: event loops answered %d requests, want the first 5", split, n)
		}
		conn.conn.Close()
	}
}

// If this failed, a connection that asked once for what takes a goroutine would keep it, and all
// its memory, for as long as it is open.
func TestIdleConnectionReturnsToALoop(t *testing.T) {
	w := newWorld(t, inClear, func(o *web.Options) { o.IdleTimeout = 1e6 * time.Hour })
	conn := w.wire(t)
	conn.send(pipeline[0])
	conn.answer("PUT")
	if got := w.server.Looped(); got != 1 {
		t.Fatalf("event loops serve %d connections, want 1", got)
	}
	conn.send(pipeline[5])
	conn.answer("GET")
	before := w.server.FastAnswered()
	if before != 1 {
		t.Fatalf("event loops answered %d requests, want the first: the connection has not left them", before)
	}
	w.eventually("the connection is back", func() bool {
		w.server.Sweep() // as if a second had passed
		return w.server.Looped() == 1
	})
	conn.send(pipeline[2] + pipeline[2])
	if got := conn.answer("GET") + conn.answer("GET"); strings.Count(got, "200 OK") != 2 {
		t.Errorf("got %s", got)
	}
	if got := w.server.FastAnswered() - before; got != 2 {
		t.Errorf("event loops answered %d requests, want 2", got)
	}
}

// If this failed, a client that closes its sending side behind its requests, as nc does, would get
// no answer to a write, and would not know whether it was done.
func TestAnswersFollowTheEndOfRequests(t *testing.T) {
	for name, requests := range map[string][]string{
		"none":             nil,
		"a write":          pipeline[:1],
		"writes":           pipeline[:2],
		"a read behind":    pipeline[:3],
		"another reader's": pipeline[:6],
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			release := make(chan struct{})
			w.log.fail = func(context.Context, *kv.Command) error { <-release; return nil }
			conn := w.wire(t)
			conn.send(strings.Join(requests, ""))
			if err := tcpOf(conn.conn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(5*time.Millisecond, func() { close(release) })
			for _, request := range requests {
				method, _, _ := strings.Cut(request, " ")
				if got := conn.answer(method); !strings.Contains(got, "HTTP/1.1 20") {
					t.Errorf("%q: got %s", request, got)
				}
			}
			if rest, err := io.ReadAll(conn.answers); err != nil || len(rest) > 0 {
				t.Errorf("behind the answers: %q, %v", rest, err)
			}
		})
	}
}

// Idle connections are why event loops are there.
func TestConnectionsOnLoopsHaveNoGoroutine(t *testing.T) {
	w := newWorld(t, inClear)
	open := func() {
		conn := w.wire(t)
		conn.send(pipeline[0])
		conn.answer("PUT")
	}
	open()
	before := runtime.NumGoroutine()
	for range 100 {
		open()
	}
	if got := runtime.NumGoroutine(); got > before {
		t.Errorf("got %d goroutines with 101 connections, %d with one", got, before)
	}
}
