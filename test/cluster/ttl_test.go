package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"keywatch/test/load"
)

// lateMax is how much later than its TTL, and the time without a leader, a key may end.
const lateMax = 2 * time.Second

// A mortal is a key with a TTL.
type mortal struct {
	ttl time.Duration
	// sent is before it was written, acked after, in revision rev.
	sent, acked time.Time
	rev         uint64
	// ended is when the first watcher was told that it expired.
	ended time.Time
	cause string
}

// Mortals are keys with TTLs, and who watches them end.
type mortals struct {
	c        *cluster
	to       load.Target
	prefix   string
	patience time.Duration
	fast     float64 // how fast the clocks of servers may be, of which 1 is right
	mu       struct {
		sync.Mutex
		keys map[string]*mortal
		err  error
	}
}

// write writes keys until ctx ends; requests end with hard.
func (m *mortals) write(ctx, hard context.Context, t testing.TB, seed uint64) {
	cl, rng := load.Of(t, m.to, m.patience), rand.New(rand.NewPCG(seed, 500))
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprintf("%s%d", m.prefix, n)
		k := &mortal{ttl: time.Duration(300+rng.IntN(1200)) * time.Millisecond, sent: time.Now()}
		m.add(key, k)
		put := load.PutCall(fmt.Sprintf("%s?ttl=%v", key, k.ttl), "x").With("Idempotency-Key", key)
		a, err := cl.Settle(hard, m.to, put)
		if err != nil || a.Status != 201 {
			m.fail(fmt.Errorf("write %s: %v, %+v", key, err, a))
			return
		}
		at, err := a.Position()
		if err != nil {
			m.fail(err)
			return
		}
		m.acknowledged(k, at.Rev)
		rest(ctx, 100*time.Millisecond)
	}
}

func (m *mortals) add(key string, k *mortal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.keys == nil {
		m.mu.keys = make(map[string]*mortal)
	}
	m.mu.keys[key] = k
}

func (m *mortals) acknowledged(k *mortal, rev uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k.acked, k.rev = time.Now(), rev
}

func (m *mortals) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.err = errors.Join(m.mu.err, err)
}

// watch watches keys end at every node until ctx ends.
func (m *mortals) watch(ctx context.Context, t testing.TB) {
	var running sync.WaitGroup
	for _, n := range m.c.nodes {
		cl := load.Of(t, at{n}, 0)
		running.Go(func() {
			for since := ""; ctx.Err() == nil; load.Pause(ctx) {
				since = m.connect(ctx, cl, since)
			}
		})
	}
	running.Wait()
}

// connect follows one stream, and returns where the next one continues.
func (m *mortals) connect(ctx context.Context, cl *load.Client, since string) string {
	s, err := cl.Watch(ctx, "/v1/watch?prefix="+m.prefix, since)
	if err != nil {
		return since
	}
	defer s.Close()
	var state map[string]bool // what is there, between reset and synced
	for {
		ev, err := s.Next()
		if err != nil {
			return since
		}
		if ev.ID != "" {
			since = ev.ID
		}
		switch ev.Name {
		case "reset":
			state = make(map[string]bool)
		case "put":
			if state != nil {
				state[ev.Key] = true
			}
		case "synced":
			if state != nil {
				m.absent(state, since)
			}
			state = nil
		case "delete":
			m.ended(ev.Key, ev.Cause)
		}
	}
}

// absent notes that keys are not in a state although they were written before its position.
func (m *mortals) absent(state map[string]bool, position string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := load.ParsePosition(position)
	if err != nil {
		m.mu.err = errors.Join(m.mu.err, err)
		return
	}
	for key, k := range m.mu.keys {
		if !k.acked.IsZero() && k.rev <= at.Rev && !state[key] && k.ended.IsZero() {
			k.ended, k.cause = time.Now(), "expired"
		}
	}
}

func (m *mortals) ended(key, cause string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.mu.keys[key]; k != nil && k.ended.IsZero() {
		k.ended, k.cause = time.Now(), cause
	}
}

// gone reports whether all keys have ended.
func (m *mortals) gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.mu.keys {
		if k.ended.IsZero() {
			return false
		}
	}
	return true
}

// judge says which keys ended before their time, or too late.
func (m *mortals) judge(leaderless func(from, to time.Time) time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	errs := m.mu.err
	for key, k := range m.mu.keys {
		switch lived := k.ended.Sub(k.sent); {
		case k.cause != "expired":
			errs = errors.Join(errs, fmt.Errorf("%s ended with the cause %q", key, k.cause))
		case time.Duration(float64(lived)*m.fast) < k.ttl:
			errs = errors.Join(errs, fmt.Errorf("%s ended after %v, its TTL is %v", key, lived, k.ttl))
		default:
			without := leaderless(k.sent, k.ended)
			if late := k.ended.Sub(k.acked) - k.ttl - without; late > lateMax {
				errs = errors.Join(errs, fmt.Errorf("%s with a TTL of %v ended %v late, beside %v without a leader", key, k.ttl, late, without))
			}
		}
	}
	return errs
}
