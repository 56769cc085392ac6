package e2e_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/test/load"

	"github.com/anishathalye/porcupine"
)

// A fault is a broken transport: it does to one request in some what a broken
// server would.
type fault struct {
	name string
	trip func(next http.RoundTripper, req *http.Request) (*http.Response, error)
}

// faults are mistakes that the checks must find.
func faults() []fault {
	return []fault{
		{"an old value is read", staleReads()},
		{"a write is acknowledged but lost", lostWrite},
		{"a write is applied twice", twice},
	}
}

// staleReads answers every fifth read as the one of that key before.
func staleReads() func(http.RoundTripper, *http.Request) (*http.Response, error) {
	var mu sync.Mutex
	n, old := 0, make(map[string]*http.Response)
	body := make(map[string]string)
	return func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if req.Method != "GET" {
			return next.RoundTrip(req)
		}
		resp, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		mu.Lock()
		defer mu.Unlock()
		key := req.URL.Path
		n++
		if was := old[key]; was != nil && n%5 == 0 {
			copied := *was
			copied.Body = io.NopCloser(strings.NewReader(body[key]))
			return &copied, nil
		}
		old[key], body[key] = resp, string(text)
		resp.Body = io.NopCloser(strings.NewReader(string(text)))
		return resp, nil
	}
}

// lostWrite acknowledges some plain puts as the server would, without sending
// them.
func lostWrite(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if req.Method != "PUT" || req.Header.Get("If-Match")+req.Header.Get("If-None-Match") != "" || !sometimes(req) {
		return next.RoundTrip(req)
	}
	head := req.Clone(req.Context())
	head.Method, head.Body, head.ContentLength = "HEAD", nil, 0
	head.Header.Del("Idempotency-Key")
	now, err := next.RoundTrip(head)
	if err != nil {
		return nil, err
	}
	now.Body.Close()
	version, _ := strconv.Atoi(now.Header.Get("Keywatch-Version"))
	answer := fmt.Sprintf(`{"rev":1,"version":%d,"created":%v}`, version+1, version == 0)
	resp := *now
	resp.StatusCode, resp.Header = 200, http.Header{}
	if version == 0 {
		resp.StatusCode = 201
	}
	resp.Body = io.NopCloser(strings.NewReader(answer))
	return &resp, nil
}

// twice sends some plain puts two times and answers as to the first.
func twice(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if req.Method != "PUT" || !sometimes(req) {
		return next.RoundTrip(req)
	}
	again := req.Clone(req.Context())
	again.Body, _ = req.GetBody()
	again.Header.Del("Idempotency-Key")
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	second, err := next.RoundTrip(again)
	if err != nil {
		return nil, err
	}
	second.Body.Close()
	return resp, nil
}

// sometimes picks one request in eight by its body, which is never the same
// twice.
func sometimes(req *http.Request) bool {
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	text, _ := io.ReadAll(body)
	var sum int
	for _, c := range text {
		sum += int(c)
	}
	return sum%8 == 0
}

// roundTripper makes a func an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestFaultsAreFound: what the tests above check would notice a server that
// answers stale values, loses a write or applies one twice.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	s := serve(t, "--memory-only")
	for _, f := range faults() {
		found := false
		for range 20 { // a fault need not strike where it matters
			if found = f.history(t, s) == porcupine.Illegal; found {
				break
			}
		}
		if !found {
			t.Errorf("%q was not found (seed %d)", f.name, *seed)
		}
	}
	none := fault{"no fault", http.RoundTripper.RoundTrip}
	if got := none.history(t, s); got != porcupine.Ok {
		t.Errorf("without a fault: %v, want %v (seed %d)", got, porcupine.Ok, *seed)
	}
}

// history makes a short history through f, on keys that are absent at first, and
// judges it.
func (f fault) history(t *testing.T, s *server) porcupine.CheckResult {
	t.Helper()
	clearKeys(t, newClient(t, s))
	rec := load.NewRecorder()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var running sync.WaitGroup
	for id := range 4 {
		w := newFaulty(t, s, rec, f, id)
		running.Go(func() { w.Run(ctx, t.Context()) })
	}
	running.Wait()
	if rec.Err() != nil && f.name == "no fault" {
		t.Error(rec.Err())
	}
	return load.JudgeByKey(rec.Ops())
}

func newFaulty(t *testing.T, s *server, rec *load.Recorder, f fault, id int) *load.Worker {
	keep := &restarter{}
	keep.mu.now = s
	return &load.Worker{
		ID: id, Rec: rec, To: keep, One: true, Pause: 2 * time.Millisecond, Retry: true,
		HTTP: load.NewClient(t, keep.url, func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(req *http.Request) (*http.Response, error) { return f.trip(next, req) })
		}),
		Work: &load.Workload{
			Rand: rand.New(rand.NewPCG(*seed, uint64(id))),
			Name: fmt.Sprintf("%d.%d", time.Now().UnixNano(), id), // values are never the same twice
			Keys: load.ModelKeys,
		},
	}
}

// clearKeys makes every key absent, as a history begins.
func clearKeys(t *testing.T, cl *load.Client) {
	t.Helper()
	cl.Must(t, load.Call{Method: "DELETE", Path: "/v1/kv?prefix=keys/"}, 200)
}
