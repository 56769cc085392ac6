package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fakeLocks is the part of a server that has leases and locks, without sockets,
// so that it runs in a bubble of synctest. It is a transport: requests and
// answers take a random time, and are lost to order.
type fakeLocks struct {
	mux *http.ServeMux
	// delay is the longest time that a request, and an answer, is on its way.
	delay time.Duration

	mu struct {
		sync.Mutex
		rand   *rand.Rand
		last   uint64
		locks  map[string]*fakeLock
		leases map[string]*fakeGrant
		done   map[string]*fakeGrant // by Idempotency-Key
		// lost is the share of requests and of answers that are lost, of 100.
		lost    int
		renewed int
	}
}

type fakeLock struct {
	holder *fakeGrant
	queue  []*fakeWaiter
}

type fakeWaiter struct {
	grant *fakeGrant
	got   chan struct{} // closed when it is granted
}

type fakeGrant struct {
	token  uint64
	ttl    time.Duration
	expiry time.Time
	owner  string
	ended  bool
}

func (g *fakeGrant) alive() bool { return g != nil && !g.ended && time.Now().Before(g.expiry) }

func newFakeLocks() *fakeLocks {
	f := &fakeLocks{mux: http.NewServeMux()}
	f.mu.rand = rand.New(rand.NewPCG(1, 1))
	f.mu.locks, f.mu.leases, f.mu.done = map[string]*fakeLock{}, map[string]*fakeGrant{}, map[string]*fakeGrant{}
	f.mux.HandleFunc("POST /v1/leases", f.grant)
	f.mux.HandleFunc("POST /v1/leases/{id}/keepalive", f.renewLease)
	f.mux.HandleFunc("DELETE /v1/leases/{id}", f.revoke)
	f.mux.HandleFunc("POST /v1/locks/{name}", f.lock)
	f.mux.HandleFunc("POST /v1/locks/{name}/keepalive", f.renewLock)
	f.mux.HandleFunc("DELETE /v1/locks/{name}", f.unlock)
	f.mux.HandleFunc("PUT /v1/kv/{key...}", f.put)
	return f
}

// RoundTrip carries a request to the fake and its answer back.
func (f *fakeLocks) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := f.travel(r); err != nil {
		return nil, err
	}
	answer := httptest.NewRecorder()
	answer.Header().Set("Keywatch-Durability", "memory")
	f.mux.ServeHTTP(answer, r)
	if err := f.travel(r); err != nil {
		return nil, err
	}
	return answer.Result(), nil
}

var errFakeLoss = errors.New("lost on its way")

// travel takes a while, and fails if the network loses what is on its way.
func (f *fakeLocks) travel(r *http.Request) error {
	f.mu.Lock()
	lost := f.mu.rand.IntN(100) < f.mu.lost
	delay := time.Duration(f.mu.rand.Int64N(int64(f.delay) + 1))
	f.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return r.Context().Err()
	}
	if lost {
		return errFakeLoss
	}
	return nil
}

// lose sets how many of 100 requests and answers are lost.
func (f *fakeLocks) lose(percent int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.lost = percent
}

// renewals returns how many keepalives came.
func (f *fakeLocks) renewals() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.renewed
}

// token returns the token under which the lock is held, 0 if it is free.
func (f *fakeLocks) token(name string) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.mu.locks[name]; l != nil && l.holder.alive() {
		return l.holder.token
	}
	return 0
}

// breakLock takes the lock from its holder.
func (f *fakeLocks) breakLock(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(f.mu.locks[name].holder, f.mu.locks[name])
}

func fakeProblem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":"refused"}`, status, code)
}

func (f *fakeLocks) newGrantLocked(ttl time.Duration, owner string) *fakeGrant {
	f.mu.last += uint64(1 + f.mu.rand.IntN(5))
	g := &fakeGrant{token: f.mu.last, ttl: ttl, expiry: time.Now().Add(ttl), owner: owner}
	f.mu.leases[fmt.Sprint("l-", g.token)] = g
	return g
}

func (g *fakeGrant) write(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"token":%d,"lease":"l-%d","id":"l-%d","ttl_ms":%d}`, g.token, g.token, g.token, g.ttl.Milliseconds())
}

type fakeAsk struct {
	TTL, Wait, Owner string
	Token            uint64
}

func ask(r *http.Request) (a fakeAsk, ttl, wait time.Duration) {
	_ = json.NewDecoder(r.Body).Decode(&a)
	ttl, _ = time.ParseDuration(a.TTL)
	wait, _ = time.ParseDuration(a.Wait)
	return a, ttl, wait
}

func (f *fakeLocks) grant(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := r.Header.Get("Idempotency-Key")
	if f.mu.done[id] == nil {
		_, ttl, _ := ask(r)
		f.mu.done[id] = f.newGrantLocked(ttl, "")
	}
	f.mu.done[id].write(w, 201)
}

func (f *fakeLocks) renewLease(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renewLocked(w, f.mu.leases[r.PathValue("id")], "lease_not_found")
}

func (f *fakeLocks) renewLocked(w http.ResponseWriter, g *fakeGrant, code string) {
	f.mu.renewed++
	if !g.alive() {
		fakeProblem(w, 404, code)
		return
	}
	g.expiry = time.Now().Add(g.ttl)
	g.write(w, 200)
}

func (f *fakeLocks) revoke(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.mu.leases[r.PathValue("id")]
	if !g.alive() {
		fakeProblem(w, 404, "lease_not_found")
		return
	}
	g.ended = true
	w.WriteHeader(204)
}

// lock serves POST /v1/locks/{name}.
func (f *fakeLocks) lock(w http.ResponseWriter, r *http.Request) {
	a, ttl, wait := ask(r)
	id := r.Header.Get("Idempotency-Key")
	f.mu.Lock()
	if g := f.mu.done[id]; g != nil { // granted before
		defer f.mu.Unlock()
		if g.alive() {
			g.write(w, 200)
		} else {
			fakeProblem(w, 409, "lock_lost")
		}
		return
	}
	l := f.mu.locks[r.PathValue("name")]
	if l == nil {
		l = new(fakeLock)
		f.mu.locks[r.PathValue("name")] = l
	}
	waiter := &fakeWaiter{grant: &fakeGrant{ttl: ttl, owner: a.Owner}, got: make(chan struct{})}
	l.queue = append(l.queue, waiter)
	f.handOverLocked(l)
	f.mu.Unlock()
	f.await(r, l, waiter, wait)
	f.mu.Lock()
	defer f.mu.Unlock()
	if waiter.grant.token == 0 || r.Context().Err() != nil {
		f.leaveLocked(l, waiter)
		fakeProblem(w, 409, "lock_held")
		return
	}
	f.mu.done[id] = waiter.grant
	waiter.grant.write(w, 200)
}

// await waits for a grant, and notices the end of the holder's time.
func (f *fakeLocks) await(r *http.Request, l *fakeLock, waiter *fakeWaiter, wait time.Duration) {
	deadline := time.After(wait)
	for {
		select {
		case <-waiter.got:
			return
		case <-deadline:
			return
		case <-r.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
			f.mu.Lock()
			f.handOverLocked(l)
			f.mu.Unlock()
		}
	}
}

// handOverLocked grants a lock that is free to the first who waits.
func (f *fakeLocks) handOverLocked(l *fakeLock) {
	if l.holder.alive() || len(l.queue) == 0 {
		return
	}
	next := l.queue[0]
	l.queue = l.queue[1:]
	g := f.newGrantLocked(next.grant.ttl, next.grant.owner)
	next.grant, l.holder = g, g
	close(next.got)
}

func (f *fakeLocks) leaveLocked(l *fakeLock, waiter *fakeWaiter) {
	if waiter.grant.token != 0 {
		f.endLocked(waiter.grant, l)
	}
	for i, other := range l.queue {
		if other == waiter {
			l.queue = append(l.queue[:i:i], l.queue[i+1:]...)
		}
	}
}

func (f *fakeLocks) endLocked(g *fakeGrant, l *fakeLock) {
	g.ended = true
	f.handOverLocked(l)
}

func (f *fakeLocks) renewLock(w http.ResponseWriter, r *http.Request) {
	a, _, _ := ask(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.mu.locks[r.PathValue("name")]
	if l == nil || l.holder == nil || l.holder.token != a.Token {
		fakeProblem(w, 409, "lock_lost")
		return
	}
	f.renewLocked(w, l.holder, "lock_not_held")
}

func (f *fakeLocks) unlock(w http.ResponseWriter, r *http.Request) {
	token, _ := strconv.ParseUint(r.URL.Query().Get("token"), 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.mu.locks[r.PathValue("name")]
	if l == nil || !l.holder.alive() || l.holder.token != token {
		fakeProblem(w, 409, "lock_lost")
		return
	}
	f.endLocked(l.holder, l)
	w.WriteHeader(204)
}

// put takes a write that carries the fence of a holder.
func (f *fakeLocks) put(w http.ResponseWriter, r *http.Request) {
	name, token, ok := strings.Cut(r.Header.Get("If-Fence"), "=")
	if !ok || fmt.Sprint(f.token(name)) != token {
		fakeProblem(w, 412, "fence_lost")
		return
	}
	w.WriteHeader(201)
	fmt.Fprint(w, `{"rev":1,"version":1,"created":true}`)
}
