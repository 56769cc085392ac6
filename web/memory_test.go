package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/ratelimit"
	"keywatch/web"
)

const mib = 1 << 20

// budgeted gives a server a budget of limit bytes; callers on this machine are limited
// too if perCaller is not 0.
func budgeted(b **ratelimit.Budget, limit, perCaller int64) func(*web.Options) {
	return func(o *web.Options) {
		*b = ratelimit.NewBudget(limit, perCaller)
		o.Budget, o.RateLoopback, o.BudgetWait = *b, perCaller != 0, 20*time.Millisecond
	}
}

// heap returns what is alive.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// open opens a connection that is closed with the test.
func (w *world) open() net.Conn {
	w.t.Helper()
	conn, err := w.connect()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

// start sends the beginning of a request for a batch with a body of 8 MiB.
func (w *world) start(piece int) net.Conn {
	w.t.Helper()
	conn := w.open()
	_, err := io.WriteString(conn, "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388608\r\n\r\n"+strings.Repeat("x", piece))
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// If this failed, 45 KB of heads that announce bodies would take gigabytes of memory.
func TestAnnouncedBodiesTakeNoMemory(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 64*mib, 0))
	before := heap()
	for range 100 {
		w.start(0)
	}
	w.eventually("all heads are read", func() bool { return w.server.Reading() == 100 })
	if grown := heap() - before; grown > 100*64<<10 {
		t.Errorf("100 heads that announce 8 MiB took %d bytes", grown)
	}
	if got := b.Stats().Used[ratelimit.Requests]; got != 0 {
		t.Errorf("%d bytes are charged for bodies of which nothing has come", got)
	}
	w.want(201, "PUT", "/v1/kv/a", "1")
}

// If this failed, bodies that are not sent to their end would take all the memory there
// is, or leave none for small requests.
func TestUnfinishedBodiesAreBounded(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 8*mib, 0))
	var all sync.WaitGroup
	refused := make(chan string, 40)
	var open []net.Conn
	for range 40 {
		conn := w.start(0)
		open = append(open, conn)
		all.Go(func() {
			_, _ = io.WriteString(conn, strings.Repeat("x", 2*mib))
			answer := make([]byte, 512)
			if n, _ := conn.Read(answer); n > 0 {
				refused <- string(answer[:n])
			}
		})
	}
	answer := <-refused
	if !strings.HasPrefix(answer, "HTTP/1.1 503 ") {
		t.Errorf("got %q, want 503", answer)
	}
	w.want(201, "PUT", "/v1/kv/a", "1")
	if used := b.Used(); used > 8*mib {
		t.Errorf("%d bytes are charged, 8 MiB are allowed", used)
	}
	for _, conn := range open {
		conn.Close()
	}
	all.Wait()
}

// If this failed, a request that can never have room would be told to come again, for ever.
func TestWhatNeverFitsIsTooLarge(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 64*mib, 2*mib))
	large := w.do("POST", "/v1/batch", `{"ops":[{"op":"put","key":"a","value":"`+strings.Repeat("x", mib-100)+`"},{"op":"put","key":"b","value":"`+
		strings.Repeat("x", mib-100)+`"},{"op":"put","key":"c","value":"`+strings.Repeat("x", mib-100)+`"}]}`)
	for _, key := range []string{"a", "b", "c"} {
		w.write(key, strings.Repeat("x", mib-100))
	}
	gets := w.do("POST", "/v1/batch", `{"ops":[{"op":"get","key":"a"},{"op":"get","key":"b"},{"op":"get","key":"c"}]}`)
	for code, r := range map[string]reply{"body_too_large": large, "batch_too_large": gets} {
		if r.status != 413 || r.code() != code || r.field("limit") != float64(2*mib) || !strings.Contains(r.body, "--client-memory-per-caller") {
			t.Errorf("got %d %s, want %s and the flag", r.status, r.body, code)
		}
	}
	w.eventually("nothing is under way", func() bool { u := b.Stats().Used; return u[ratelimit.Requests]+u[ratelimit.Answers] == 0 })
	w.want(200, "POST", "/v1/batch", `{"ops":[{"op":"get","key":"a"}]}`)
}

// If this failed, lists that are not read would have every request refused that comes on a
// connection of its own.
func TestUnreadLinesLeaveRoomForConnections(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 8*mib, 0))
	for i := range 20 {
		w.write(fmt.Sprintf("v/%02d", i), strings.Repeat("x", 300<<10))
	}
	for range 60 {
		conn := w.open()
		tcpOf(conn).SetReadBuffer(4 << 10)
		fmt.Fprint(conn, "GET /v1/kv?prefix=v/ HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
	}
	w.eventually("there is no room for another answer", func() bool { return b.Stats().Refused[ratelimit.Answers] > 0 })
	for i := range 20 {
		conn := w.open()
		fmt.Fprintf(conn, "PUT /v1/kv/%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1", i)
		answer, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 201 ") {
			t.Fatalf("write %d: got %.200q and %+v", i, answer, b.Stats())
		}
		conn.Close()
	}
}

// If this failed, one caller could take what is there for all.
func TestOneCallerIsBounded(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 64*mib, 1*mib))
	r := w.do("PUT", "/v1/kv/a", strings.Repeat("x", mib-1))
	if r.status != 429 || r.code() != "caller_memory_full" || r.field("limit") != float64(mib) {
		t.Errorf("got %d %s, want 429 caller_memory_full with its limit", r.status, r.body)
	}
	w.want(201, "PUT", "/v1/kv/a", strings.Repeat("x", 256<<10))
	w.eventually("what the request took is given back", func() bool { return b.Stats().Used[ratelimit.Requests] == 0 })
}

// If this failed, pages that clients do not read would take all the memory there is; or
// a client that pages through would not see every key where there is little of it.
func TestPagesEndWhereMemoryDoes(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 8*mib, 0))
	const keys = 16
	for i := range keys {
		w.write(fmt.Sprintf("v/%02d", i), strings.Repeat("x", mib-1))
	}
	for range 4 {
		conn := w.open()
		tcpOf(conn).SetReadBuffer(4 << 10)
		_, _ = io.WriteString(conn, "GET /v1/kv?prefix=v/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	w.eventually("answers are charged", func() bool { return b.Stats().Used[ratelimit.Answers] > mib })
	if used := b.Used(); used > 8*mib {
		t.Errorf("%d bytes are charged, 8 MiB are allowed", used)
	}
	w.want(201, "PUT", "/v1/kv/a", "1")

	w = newWorld(t, budgeted(&b, 8*mib, 0))
	for i := range keys {
		w.write(fmt.Sprintf("v/%02d", i), strings.Repeat("x", mib-1))
	}
	seen, pages, cursor := 0, 0, ""
	for seen < keys {
		r := w.want(200, "GET", "/v1/kv?prefix=v/"+cursor, "")
		var page struct {
			Entries []struct{ Key string }
			Next    string
		}
		if err := json.Unmarshal([]byte(r.body), &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			if want := fmt.Sprintf("v/%02d", seen); e.Key != want {
				t.Fatalf("got key %s, want %s", e.Key, want)
			}
			seen++
		}
		pages++
		cursor = "&cursor=" + page.Next
	}
	if pages < 3 {
		t.Errorf("got 16 MiB in %d pages, with room for 6 MiB", pages)
	}
}

// If this failed, values that were asked for and are not read would stay in memory
// although they are not counted.
func TestValuesThatAreNotReadAreCounted(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 8*mib, 0))
	w.write("big", strings.Repeat("x", mib))
	request := "GET /v1/kv/big HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for range 40 {
		conn := w.open()
		tcpOf(conn).SetReadBuffer(4 << 10)
		_, _ = io.WriteString(conn, strings.Repeat(request, 10)) // the kernel's buffers have room for a few
	}
	w.eventually("there is no room for another", func() bool { return b.Stats().Refused[ratelimit.Answers] > 0 })
	if used := b.Used(); used > 8*mib {
		t.Errorf("%d bytes are charged, 8 MiB are allowed", used)
	}
	// The kernel may have taken some since.
	w.eventually("another is refused", func() bool {
		r := w.do("GET", "/v1/kv/big", "")
		return r.status == 503 && r.code() == "client_memory_full"
	})
	w.write("small", "1")
	w.want(200, "GET", "/v1/kv/small", "")
}

// If this failed, connections would take memory that is not counted, or those who hold them
// would keep everybody from the smallest request.
func TestConnectionsAreCharged(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, mib, 0)) // for 16 of 48 KiB
	w.write("b", "1")
	tag := w.want(200, "GET", "/v1/kv/b", "").header.Get("ETag")
	w.client.CloseIdleConnections()
	var open []net.Conn
	for {
		conn := w.open()
		open = append(open, conn)
		fmt.Fprint(conn, "GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
		answer := make([]byte, 1024)
		n, err := conn.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		text := string(answer[:n])
		if !strings.HasPrefix(text, "HTTP/1.1 404 ") {
			t.Errorf("got %q, want 404", text)
		}
		if strings.Contains(text, "Connection: close") {
			break
		}
		if len(open) > 30 {
			t.Fatal("no connection was refused")
		}
	}
	// An operator must still see the server: a probe that is refused gets it killed.
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/status"} {
		if got := w.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "Connection: close") {
			t.Errorf("%s: got %.300q, want 200 and the end", path, got)
		}
	}
	// So must what is small and brief, and nothing that is large or lasts.
	body := strings.Repeat("x", 100<<10)
	for request, status := range map[string]string{
		"PUT /v1/kv/d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1":                                     "201",
		"GET /v1/kv?prefix=a HTTP/1.1\r\nHost: localhost\r\n\r\n":                                                    "200",
		"PUT /v1/kv/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 102400\r\n\r\n" + body:                          "503",
		"GET /v1/kv/b?wait=1m HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: " + tag + "\r\n\r\n":                     "503",
		"GET /v1/kv?prefix=a HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n":                    "503",
		"GET /v1/watch?prefix=a HTTP/1.1\r\nHost: localhost\r\n\r\n":                                                 "503",
		"POST /v1/locks/l HTTP/1.1\r\nHost: localhost\r\nContent-Length: 23\r\n\r\n{\"ttl\":\"1s\",\"wait\":\"1s\"}": "503",
	} {
		got := w.raw(request)
		if !strings.HasPrefix(got, "HTTP/1.1 "+status+" ") || !strings.Contains(got, "Connection: close") ||
			status == "503" && !strings.Contains(got, "client_memory_full") {
			t.Errorf("%.60q: got %.300q, want %s", request, got, status)
		}
	}
	for _, conn := range open {
		conn.Close()
	}
	w.eventually("all is given back", func() bool { return b.Used() == 0 })
	w.want(404, "GET", "/v1/kv/a", "")
}

// If this failed, the names of watches, or what watchers do not read, would take memory
// that is not counted.
func TestStreamsAreCharged(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 8*mib, 0))
	names := make([]string, 1024)
	watch := func(i int) string {
		for k := range names {
			names[k] = fmt.Sprintf("%d-%04d-%s", i, k, strings.Repeat("n", 1000))
		}
		body, _ := json.Marshal(map[string]any{"prefixes": names, "state": false})
		conn := w.open()
		go fmt.Fprintf(conn, "POST /v1/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		answer := make([]byte, 1024)
		n, _ := conn.Read(answer)
		return string(answer[:n])
	}
	for i := 0; ; i++ {
		if answer := watch(i); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			if !strings.HasPrefix(answer, "HTTP/1.1 503 ") || i < 3 {
				t.Errorf("watch %d: got %q", i, answer)
			}
			break
		}
		if i > 10 {
			t.Fatal("no watch was refused")
		}
	}
	if used := b.Used(); used > 8*mib {
		t.Errorf("%d bytes are charged, 8 MiB are allowed", used)
	}
	w.want(400, "POST", "/v1/watch", `{"keys":[`+strings.Repeat(`"a",`, 100_000)+`"a"]}`)
}

// If this failed, watchers that do not read would take memory that is not counted.
func TestUnreadEventsAreCharged(t *testing.T) {
	var b *ratelimit.Budget
	w := newWorld(t, budgeted(&b, 2*mib, 0))
	for range 8 {
		conn := w.open()
		tcpOf(conn).SetReadBuffer(4 << 10)
		fmt.Fprint(conn, "GET /v1/watch?key=big HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	w.eventually("all watch", func() bool { return w.hub.Stats().Watchers == 8 })
	w.eventually("there is no room for an event", func() bool {
		w.write("big", strings.Repeat("x", 512<<10))
		return b.Stats().Refused[ratelimit.Answers] > 0
	})
	if used := b.Used(); used > 2*mib {
		t.Errorf("%d bytes are charged, 2 MiB are allowed", used)
	}
	w.eventually("a watcher that does not read is ended", func() bool { return w.hub.Stats().Watchers < 8 })
}
