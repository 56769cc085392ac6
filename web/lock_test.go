package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"keywatch/web"
)

// A lockReply is what a request for a lock was answered.
type lockReply struct {
	who    string
	status int
	Token  uint64 `json:"token"`
	Lease  string `json:"lease"`
	Code   string `json:"code"`
}

// ask sends a request for a lock and hands the answer over.
func (w *world) askLock(name, who, wait string, got chan<- lockReply, headers ...string) {
	body := fmt.Sprintf(`{"ttl":"1h","wait":%q,"owner":%q}`, wait, who)
	req, err := http.NewRequest("POST", w.base+"/v1/locks/"+name, strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Errorf("%s: %v", who, err)
		return
	}
	defer resp.Body.Close()
	r := lockReply{who: who, status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		w.t.Errorf("%s: %v", who, err)
	}
	got <- r
}

// dialLock asks for a lock on a connection of its own.
func (w *world) dialLock(name, who string, headers ...string) net.Conn {
	w.t.Helper()
	conn, err := w.connect()
	if err != nil {
		w.t.Fatal(err)
	}
	body := fmt.Sprintf(`{"ttl":"1h","wait":"5m","owner":%q}`, who)
	head := fmt.Sprintf("POST /v1/locks/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", name, len(body))
	for i := 0; i < len(headers); i += 2 {
		head += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"+body); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func (w *world) waiters(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d wait", n), func() bool { return w.state.Stats().LockWaiters == n })
}

func (w *world) release(name string, token uint64) {
	w.t.Helper()
	w.want(204, "DELETE", fmt.Sprintf("/v1/locks/%s?token=%d", name, token), "")
}

// If this failed, locks would not be fair, a release would wake more than the one
// who gets the lock, or it would wait for those who have left.
func TestLockQueueKeepsOrder(t *testing.T) {
	const all = 200
	w := newWorld(t)
	first := uint64(w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`).field("token").(float64))
	got := make(chan lockReply, all)
	var want []string
	var dead []net.Conn
	var asking sync.WaitGroup
	for i := range all {
		who := fmt.Sprint(i)
		if i%10 == 3 {
			dead = append(dead, w.dialLock("l", who))
		} else {
			want = append(want, who)
			asking.Go(func() { w.askLock("l", who, "5m", got) })
		}
		w.waiters(i + 1)
	}
	for _, conn := range dead {
		conn.Close()
	}
	w.waiters(len(want))
	shown := w.want(200, "GET", "/v1/locks/l", "")
	if queue := shown.field("queue").([]any); len(queue) != len(want) || queue[0].(map[string]any)["owner"] != want[0] {
		t.Errorf("queue: got %d, beginning with %v, want %d", len(queue), queue[0], len(want))
	}
	before := w.state.Stats().LockWakes
	var order []string
	last := first
	for i := range want {
		w.release("l", last)
		r := <-got
		if r.status != 200 || r.Token <= last {
			t.Fatalf("%s: got %+v after token %d", r.who, r, last)
		}
		order, last = append(order, r.who), r.Token
		if wakes := w.state.Stats().LockWakes - before; wakes != uint64(i+1) {
			t.Fatalf("after %d releases: %d were woken, want one for each", i+1, wakes)
		}
	}
	if !slices.Equal(order, want) {
		t.Errorf("the lock went to %v, want %v", order, want)
	}
	asking.Wait()
	w.release("l", last)
	w.refused(404, "lock_not_held", "GET", "/v1/locks/l", "")
	if s := w.state.Stats(); s.Leases != 0 || s.Locks != 0 || s.LockWaiters != 0 {
		t.Errorf("left over: %+v", s)
	}
}

// If this failed, a wait would end too late or without a word, or would leave its
// place behind.
func TestLockWaitEnds(t *testing.T) {
	w := newWorld(t)
	token := uint64(w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h","owner":"me"}`).field("token").(float64))
	for _, body := range []string{`{"ttl":"1h"}`, `{"ttl":"1h","wait":"20ms"}`, `{"ttl":"1h","wait":0}`} {
		r := w.want(409, "POST", "/v1/locks/l", body)
		holder, _ := r.field("holder").(map[string]any)
		if r.code() != "lock_held" || holder["value"] != "me" || holder["create_rev"] != float64(token) {
			t.Errorf("%s: got %s, want lock_held and its holder", body, r.body)
		}
	}
	if s := w.state.Stats(); s.LockWaiters != 0 || s.Leases != 1 {
		t.Errorf("left over: %+v", s)
	}
	r := w.want(200, "POST", "/v1/locks/l/keepalive", fmt.Sprintf(`{"token":%d}`, token))
	if r.field("ttl_ms") != 3.6e6 {
		t.Errorf("keepalive: got %s", r.body)
	}
	w.refused(409, "lock_lost", "DELETE", fmt.Sprintf("/v1/locks/l?token=%d", token+1), "")
	w.want(204, "DELETE", "/v1/locks/l?force=1", "")
	w.refused(409, "lock_lost", "POST", "/v1/locks/l/keepalive", fmt.Sprintf(`{"token":%d}`, token))
}

// If this failed, a holder that dies would keep its lock, or the next in line
// would not hear that it has it.
func TestLockPassesOnWhenItsLeaseEnds(t *testing.T) {
	w := newWorld(t)
	w.tick(0) // time stands still
	w.want(200, "POST", "/v1/locks/l", `{"ttl":"2s"}`)
	got := make(chan lockReply, 1)
	go w.askLock("l", "next", "5m", got)
	w.waiters(1)
	rev := w.state.Position().Rev
	w.tick(2100)
	if r := <-got; r.status != 200 || r.Token != uint64(rev+1) {
		t.Errorf("got %+v, want the token %d, of the revision in which the holder went", r, rev+1)
	}
}

// If this failed, someone who retries after a lost answer would queue behind
// itself, or would take a lock that it has lost for its own.
func TestLockRetryTakesUpPlaceOrGrant(t *testing.T) {
	w := newWorld(t)
	key := []string{"Idempotency-Key", "k"}
	token := uint64(w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`).field("token").(float64))
	conn := w.dialLock("l", "me", key...)
	w.waiters(1)
	conn.Close()
	w.eventually("the server knows", func() bool {
		return strings.Contains(w.want(200, "GET", "/metrics", "").body, "keywatch_lock_parked 0\n")
	})
	got := make(chan lockReply, 1)
	ask := func() { // as it was asked on the connection
		body := `{"ttl":"1h","wait":"5m","owner":"me"}`
		r := w.do("POST", "/v1/locks/l", body, key...)
		a := lockReply{status: r.status, Code: r.code()}
		_ = json.Unmarshal([]byte(r.body), &a)
		got <- a
	}
	go ask()
	w.eventually("it waits again", func() bool {
		return strings.Contains(w.want(200, "GET", "/metrics", "").body, "keywatch_lock_parked 1\n")
	})
	if n := w.state.Stats().LockWaiters; n != 1 {
		t.Errorf("%d places after the retry, want the same one", n)
	}
	w.release("l", token)
	granted := <-got
	if granted.status != 200 {
		t.Fatalf("got %+v, want the lock", granted)
	}
	go ask() // the answer was lost
	if again := <-got; again.status != 200 || again.Token != granted.Token || again.Lease != granted.Lease {
		t.Errorf("asked again: got %+v, want %+v", again, granted)
	}
	w.release("l", granted.Token)
	go ask()
	if after := <-got; after.status != 409 || after.Code != "lock_lost" {
		t.Errorf("asked again after the release: got %+v, want lock_lost", after)
	}
}

// If this failed, a lock would stay with a caller who left while it was waiting
// and never asks again, although its key might have done so.
func TestLockPlaceOfOneWhoStaysAwayIsGivenUp(t *testing.T) {
	w := newWorld(t)
	w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`)
	conn := w.dialLock("l", "me", "Idempotency-Key", "k")
	w.waiters(1) // who leaves before gets no place
	conn.Close()
	w.eventually("its place is given up", func() bool {
		s := w.state.Stats()
		return s.LockWaiters == 0 && s.Leases == 1 && s.LeasesGranted >= 2
	})
}

// A brokenConn fails writes once it is told to.
type brokenConn struct {
	net.Conn
	broken func() bool
}

func (c brokenConn) Write(b []byte) (int, error) {
	if c.broken() && strings.Contains(string(b), `"token"`) {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

type brokenListener struct {
	net.Listener
	broken func() bool
}

func (l brokenListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return brokenConn{c, l.broken}, err
}

// If this failed, a lock whose answer could not be written would belong to no client
// for its whole TTL.
func TestUnwritableGrantIsReleased(t *testing.T) {
	w := newWorld(t, inClear)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(brokenListener{ln, func() bool { return true }}) }()
	whole := w.addr
	w.addr = ln.Addr().String()
	conn := w.dialLock("l", "me")
	if answer, _ := io.ReadAll(conn); len(answer) != 0 {
		t.Errorf("got %q from a connection that cannot be written", answer)
	}
	w.eventually("the lock is released", func() bool {
		s := w.state.Stats()
		return s.LockGrants == 1 && s.Locks == 0 && s.Leases == 0
	})
	w.addr = whole
	w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`)
	if err := w.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-done
}

// If this failed, a pipelined request behind one for a lock would be lost.
func TestPipelineBehindALock(t *testing.T) {
	w := newWorld(t)
	token := uint64(w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`).field("token").(float64))
	conn := w.dialLock("l", "me")
	defer conn.Close()
	w.waiters(1)
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	w.release("l", token)
	answer, err := io.ReadAll(conn)
	if err != nil || strings.Count(string(answer), "HTTP/1.1 200 OK") != 2 || !strings.HasSuffix(string(answer), "ok\n") {
		t.Errorf("got %q, %v, want both answers", answer, err)
	}
}

// If this failed, a server that stops would keep those waiting who could ask
// elsewhere, or would leave places behind that no client can use.
func TestLockWaitEndsAtShutdown(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {})
	w.want(200, "POST", "/v1/locks/l", `{"ttl":"1h"}`)
	plain, keyed := make(chan lockReply, 1), make(chan lockReply, 1)
	go w.askLock("l", "plain", "5m", plain)
	w.waiters(1)
	go w.askLock("l", "keyed", "5m", keyed, "Idempotency-Key", "k")
	w.waiters(2)
	if err := w.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if r := <-plain; r.status != 503 || r.Code != "stopping" {
		t.Errorf("without a key: got %+v, want 503 stopping", r)
	}
	if r := <-keyed; r.status != 504 || r.Code != "outcome_unknown" {
		t.Errorf("with a key: got %+v, want 504 outcome_unknown", r)
	}
	if n := w.state.Stats().LockWaiters; n != 1 {
		t.Errorf("%d places are left, want that of the one with a key", n)
	}
}

// The test that a lock without fences fails: the holder sleeps past its TTL,
// another takes over, and the first still writes. Without If-Fence an update
// is lost; with it none is.
func TestPausedHolder(t *testing.T) {
	for _, fenced := range []bool{false, true} {
		w := newWorld(t)
		w.tick(0) // time stands still
		w.want(201, "PUT", "/v1/kv/counter", "0")
		take := func() []string {
			token := w.want(200, "POST", "/v1/locks/l", `{"ttl":"2s"}`).field("token").(float64)
			if !fenced {
				return nil
			}
			return []string{"If-Fence", fmt.Sprintf("l=%.0f", token)}
		}
		add := func(read string, fence []string) reply {
			n := 0
			fmt.Sscan(read, &n)
			return w.do("PUT", "/v1/kv/counter", fmt.Sprint(n+1), fence...)
		}
		first := take()
		seen := w.want(200, "GET", "/v1/kv/counter", "").body
		w.tick(2100) // the first holder is stopped here, and continues below
		second := take()
		if r := add(w.want(200, "GET", "/v1/kv/counter", "").body, second); r.status != 200 {
			t.Fatalf("the second holder: got %d %s", r.status, r.body)
		}
		late := add(seen, first)
		if fenced && late.code() == "fence_lost" {
			late = add(w.want(200, "GET", "/v1/kv/counter", "").body, second) // it takes the lock again
		}
		want := "1" // of two increments one is lost
		if fenced {
			want = "2"
		}
		if got := w.want(200, "GET", "/v1/kv/counter", "").body; late.status != 200 || got != want {
			t.Errorf("fenced %v: after two increments the counter is %s (%d %s), want %s", fenced, got, late.status, late.body, want)
		}
	}
}
