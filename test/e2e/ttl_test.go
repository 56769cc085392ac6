package e2e_test

import (
	"fmt"
	"testing"
	"time"
)

// tickTime is how much log time a crash can lose: while deadlines exist the log
// tells the time once a second.
const tickTime = time.Second

// lateTime is how much later than its end a key may go on a busy machine.
const lateTime = 5 * time.Second

// A ttlKey is a key with a TTL.
type ttlKey struct {
	name string
	ttl  time.Duration
	// sent and answered bound the moment of the put.
	sent, answered time.Time
	gone           bool
}

// A ttlRun follows keys with a TTL through restarts.
type ttlRun struct {
	keys map[string]*ttlKey
	// most and least are the bounds of the time that ended servers have served
	// since the puts.
	most, least time.Duration
	losses      int // crashes
	now         *server
}

// served returns the most and the least time that k can have been served by now.
func (r *ttlRun) served(k *ttlKey, now time.Time) (most, least time.Duration) {
	if r.now.began.Before(k.sent) { // the run in which it was put
		return now.Sub(k.sent), now.Sub(k.answered)
	}
	return r.most + now.Sub(r.now.began), r.least + now.Sub(r.now.ready)
}

// ended adds the run that has just ended, after it was asked to at asked, to the
// time served.
func (r *ttlRun) ended(asked time.Time) {
	now := time.Now()
	var most, least time.Duration
	for _, k := range r.keys {
		m, _ := r.served(k, now)
		_, l := r.served(k, asked)
		if most == 0 {
			most, least = m, l
		}
		most, least = max(most, m), min(least, l)
	}
	r.most, r.least = most, least
}

// left checks that k shows at now that it has ms left.
func (r *ttlRun) left(t *testing.T, k *ttlKey, ms int64, now time.Time) {
	t.Helper()
	most, least := r.served(k, now)
	lost := time.Duration(r.losses) * tickTime
	got := time.Duration(ms) * time.Millisecond
	const cut = time.Millisecond // log time has no smaller part
	if got <= k.ttl-most-cut || got > min(k.ttl, k.ttl-least+lost+lateTime) {
		t.Errorf("%s has %v left of %v, but was served between %v and %v", k.name, got, k.ttl, least, most)
	}
}

// went checks that k could be gone at now.
func (r *ttlRun) went(t *testing.T, k *ttlKey, now time.Time) {
	t.Helper()
	if k.gone {
		return
	}
	k.gone = true
	most, least := r.served(k, now)
	if most < k.ttl {
		t.Errorf("%s ended after at most %v, its TTL is %v", k.name, most, k.ttl)
	}
	if late := least - k.ttl - time.Duration(r.losses)*tickTime; late > lateTime {
		t.Errorf("%s ended %v late", k.name, late)
	}
}

// follow reads a watch until it has seen so many heartbeats, or until every key
// is gone.
func (r *ttlRun) follow(t *testing.T, heartbeats int) {
	t.Helper()
	s, err := newClient(t, r.now).watch(within(t, 30*time.Second), "/v1/watch?prefix=ttl/", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	state := make(map[string]bool)
	for heartbeats > 0 && !r.allGone() {
		ev, err := s.next()
		now := time.Now()
		if err != nil {
			t.Fatal(err)
		}
		switch k := r.keys[ev.Key]; ev.name {
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
			for range 3 {
				r.follow(t, 5)
				asked := time.Now()
				if kind == "kill" {
					r.now.kill()
					r.losses++
				} else {
					r.now.stop(t)
				}
				r.ended(asked)
				lasts(t, 700*time.Millisecond) // down: longer than some key has left
				r.now = serve(t, "--data", dir, "--heartbeat", "100ms")
			}
			r.follow(t, 1000)
			if !r.allGone() {
				t.Error("keys outlived their TTL")
			}
		})
	}
}

func putTTL(t *testing.T, r *ttlRun, key string, ttl time.Duration) {
	t.Helper()
	k := &ttlKey{name: key, ttl: ttl, sent: time.Now()}
	newClient(t, r.now).must(t, putCall(key+"?ttl="+ttl.String(), "x"), 201)
	k.answered = time.Now()
	r.keys[key] = k
}
