package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// A ttlKey is a key with a TTL.
type ttlKey struct {
	name string
	ttl  time.Duration
	sent time.Time // when it was put, or before
	// shown is what it had left when that was seen last.
	shown time.Duration
	gone  bool
}

// A ttlRun follows keys with a TTL through restarts.
type ttlRun struct {
	keys map[string]*ttlKey
	// most is the most time that ended servers have served since the puts.
	most time.Duration
	now  *server
}

// served returns the most time that k can have been served by now.
func (r *ttlRun) served(k *ttlKey, now time.Time) time.Duration {
	if r.now.began.Before(k.sent) { // the run in which it was put
		return now.Sub(k.sent)
	}
	return r.most + now.Sub(r.now.began)
}

// ended adds the run that has just ended to the time served.
func (r *ttlRun) ended() {
	now, most := time.Now(), time.Duration(0)
	for _, k := range r.keys {
		most = max(most, r.served(k, now))
	}
	r.most = most
}

// left checks that k shows at now that it has ms left: not less than the time it
// was not served, and not more than before, though the server was down since.
func (r *ttlRun) left(t *testing.T, k *ttlKey, ms int64, now time.Time) {
	t.Helper()
	got := time.Duration(ms) * time.Millisecond
	const cut = time.Millisecond // log time has no smaller part
	if most := r.served(k, now); got <= k.ttl-most-cut {
		t.Errorf("%s has %v left of %v, but was served for %v at most", k.name, got, k.ttl, most)
	}
	if got > k.shown {
		t.Errorf("%s has %v left of %v, but had %v before", k.name, got, k.ttl, k.shown)
	}
	k.shown = got
}

// went checks that k could be gone at now.
func (r *ttlRun) went(t *testing.T, k *ttlKey, now time.Time) {
	t.Helper()
	if k.gone {
		return
	}
	k.gone = true
	if most := r.served(k, now); most < k.ttl {
		t.Errorf("%s ended after %v at most, its TTL is %v", k.name, most, k.ttl)
	}
}

// follow reads a watch until it has seen so many heartbeats, without end if below
// 0, or until every key is gone.
func (r *ttlRun) follow(t *testing.T, heartbeats int) {
	t.Helper()
	s, err := newClient(t, r.now).Watch(gate.Context(t), "/v1/watch?prefix=ttl/", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	state := make(map[string]bool)
	for heartbeats != 0 && !r.allGone() {
		ev, err := s.Next()
		now := time.Now()
		if err != nil {
			t.Fatal(err)
		}
		switch k := r.keys[ev.Key]; ev.Name {
		case "put":
			state[ev.Key] = true
			r.left(t, k, ev.TTL, now)
		case "synced":
			for name, k := range r.keys {
				if !state[name] {
					r.went(t, k, now)
				}
			}
		case "delete":
			if ev.Cause != "expired" {
				t.Errorf("%s ended with the cause %q, want expired", ev.Key, ev.Cause)
			}
			r.went(t, k, now)
		case "progress":
			heartbeats--
		}
	}
}

func (r *ttlRun) allGone() bool {
	for _, k := range r.keys {
		if !k.gone {
			return false
		}
	}
	return true
}

// TestTTLsSurviveRestarts: a key with a TTL lives on with the time it had left
// when the server is killed or stopped, and never ends before it was served for
// that long: the time that the server was down does not count.
func TestTTLsSurviveRestarts(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"kill", "stop"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := &ttlRun{keys: make(map[string]*ttlKey)}
			r.now = serve(t, "--data", dir, "--heartbeat", "100ms")
			for i, ttl := range []time.Duration{300, 800, 1300, 2300} {
				putTTL(t, r, fmt.Sprintf("ttl/%d", i), ttl*time.Millisecond)
			}
			for n := range 3 {
				r.follow(t, 5)
				// What the log says last is the time that a start continues from.
				newClient(t, r.now).Put(t, "marker", fmt.Sprint(n))
				if kind == "kill" {
					r.now.kill()
				} else {
					r.now.stop(t)
				}
				r.ended()
				lasts(t, 700*time.Millisecond) // down: longer than some key has left
				r.now = serve(t, "--data", dir, "--heartbeat", "100ms")
			}
			r.follow(t, -1)
		})
	}
}

func putTTL(t *testing.T, r *ttlRun, key string, ttl time.Duration) {
	t.Helper()
	k := &ttlKey{name: key, ttl: ttl, shown: ttl, sent: time.Now()}
	newClient(t, r.now).Must(t, load.PutCall(key+"?ttl="+ttl.String(), "x"), 201)
	r.keys[key] = k
}
