package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// stream opens a stream of key as lines of JSON, and calls each with every object until it ends.
func (s *secured) stream(secret, key string, each func(event map[string]any)) {
	s.t.Helper()
	conn, err := s.connect()
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/watch?key=%s HTTP/1.1\r\nHost: %s\r\nAccept: application/x-ndjson\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", key, s.addr, secret)
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var event map[string]any
		if json.Unmarshal(lines.Bytes(), &event) == nil {
			each(event)
		}
	}
}

// told is what a watcher was told: the newest revision of an event, and how it was denied.
type told struct {
	rev    kv.Rev
	denied string
	synced bool
}

func (w *told) note(event map[string]any) {
	switch event["type"] {
	case "synced":
		w.synced = true
	case "put":
		rev, _ := event["rev"].(float64)
		w.rev = max(w.rev, kv.Rev(rev))
	case "denied":
		w.denied, _ = event["code"].(string)
	}
}

// If this failed, a stream or socket would be told of what was written after the right of its caller
// was revoked, would not say why it ends, or another caller's would end too.
func TestNothingIsToldAfterRevocation(t *testing.T) {
	s := newSecured(t)
	ann, bob := s.user("ann", "read,watch:a/"), s.user("bob", "read,watch:a/")
	var mu sync.Mutex
	watchers := make([]told, 12)
	note := func(i int) func(map[string]any) {
		return func(event map[string]any) {
			mu.Lock()
			defer mu.Unlock()
			watchers[i].note(event)
		}
	}
	var wait sync.WaitGroup
	for i := range watchers {
		secret := ann
		if i%4 == 3 {
			secret = bob
		}
		if i%2 == 0 {
			wait.Go(func() { s.stream(secret, "a/1", note(i)) })
			continue
		}
		client, _, err := s.dial("?key=a/1", as(secret)...)
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			for {
				_, text, err := client.Conn.Read(client.Ctx)
				if err != nil {
					return
				}
				var event map[string]any
				if json.Unmarshal(text, &event) == nil {
					note(i)(event)
				}
				if event["type"] == "denied" {
					return // the socket itself stays, if its caller may do anything else
				}
			}
		})
	}
	all := func(holds func(i int, w told) bool) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			for i, w := range watchers {
				if !holds(i, w) {
					return false
				}
			}
			return true
		}
	}
	s.eventually("all watch", all(func(_ int, w told) bool { return w.synced }))
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.log.Propose(ctx, &kv.Command{Ops: []kv.Op{kvtest.Put("a/1", "v")}}); err != nil {
				t.Error(err)
			}
			time.Sleep(50 * time.Microsecond)
		}
	})
	s.eventually("all are told", all(func(_ int, w told) bool { return w.rev > 0 }))
	if _, _, err := s.registry.PutRole(ctx, s.admin.By(), "ann", nil, auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	revoked := s.state.AuthRev()
	s.eventually("ann is denied, and bob is told", all(func(i int, w told) bool {
		if i%4 == 3 {
			return w.rev > revoked+20
		}
		return w.denied != ""
	}))
	cancel()
	writing.Wait()
	mu.Lock()
	for i, w := range watchers {
		if i%4 == 3 && w.denied != "" {
			t.Errorf("watcher %d of bob was denied: %s", i, w.denied)
		}
		if i%4 != 3 && (w.rev > revoked || w.denied != auth.Narrowed) {
			t.Errorf("watcher %d of ann: told of %d, revoked at %d, denied as %q, want %q", i, w.rev, revoked, w.denied, auth.Narrowed)
		}
	}
	mu.Unlock()
	if err := s.registry.DeleteUser(t.Context(), s.admin.By(), "bob", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	s.eventually("idle watchers of bob are denied", all(func(i int, w told) bool {
		return i%4 != 3 || w.denied == auth.Revoked
	}))
	wait.Wait()
	s.refusedStream(bob)
}

// refusedStream opens a stream that must be refused as unauthenticated.
func (s *secured) refusedStream(secret string) {
	s.t.Helper()
	r := s.do("GET", "/v1/watch?key=a/1", "", append(as(secret), "Accept", "text/event-stream")...)
	if r.status != 401 || !strings.Contains(r.body, `"reason":"`) {
		s.t.Errorf("got %d %s, want 401 with a reason", r.status, r.body)
	}
}

// If this failed, a stream would outlive its credential until the next change.
func TestStreamEndsWithItsCredential(t *testing.T) {
	s := newSecured(t)
	s.user("ann", "read,watch:a/")
	var w told
	for ttl := 100 * time.Millisecond; !w.synced; ttl *= 2 { // until it lives long enough to be used
		secret, _, err := s.registry.AddKey(t.Context(), s.admin.By(), auth.KeySpec{User: "ann", TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		w = told{}
		s.stream(secret, "a/1", w.note)
	}
	if w.denied != auth.Expired {
		t.Errorf("got %+v, want it to be denied as expired", w)
	}
}
