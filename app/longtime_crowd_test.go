package app_test

import (
	"fmt"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
)

// arrive has a crowd of one kind come, of n.
func (l *longTime) arrive(n int) {
	switch l.rng.IntN(5) {
	case 0:
		at := time.Now().Add(l.minutes(50))
		for range n { // all end in one moment
			l.do(l.put(l.name("k"), time.Until(at), kv.LeaseID{}, at))
		}
	case 1:
		for range n {
			ttl := l.minutes(50)
			l.do(l.put(l.name("k"), ttl, kv.LeaseID{}, time.Now().Add(ttl)))
			l.pause()
		}
	case 2:
		l.leases(n)
	case 3:
		for range n {
			ttl := l.minutes(30)
			c := l.put(l.name("k"), ttl, kv.LeaseID{}, time.Now().Add(ttl))
			c.Idem = kv.Idem{Caller: "c", Key: l.name("once")}
			first := l.do(c)
			if again := l.do(c); !again.Replayed || again.Rev != first.Rev {
				l.fatal("the same request again: %+v, want what it was: %+v", again, first)
			}
		}
	case 4:
		prefix := l.name("gone") + "/"
		for range n {
			l.do(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: prefix + l.name("k"), Value: []byte("soon")}}})
		}
		l.do(&kv.Command{Prefix: &prefix})
	}
}

// leases begins some, each with a few keys.
func (l *longTime) leases(n int) {
	for n > 0 {
		ttl := l.minutes(30)
		until := time.Now().Add(ttl)
		r, err := l.Grant(l.t.Context(), ttl)
		if err != nil {
			l.fatal("grant: %v", err)
		}
		for range 1 + l.rng.IntN(10) {
			l.do(l.put(l.name("l"), 0, r.Lease.ID, until))
			n--
		}
		l.pause()
	}
}

// queue has a crowd wait for locks. Who gets one holds it for a while, and then gives it back or
// forgets it.
func (l *longTime) queue(n int) {
	for range n {
		name, ttl, wait := fmt.Sprint("lock", l.rng.IntN(3)), l.minutes(3), l.minutes(5)
		forgets, e := l.rng.IntN(2) == 0, l.Engine
		l.waits.Add(1)
		go func() {
			defer l.waits.Add(-1)
			r, err := e.Lock(l.t.Context(), lock.Request{Name: name, TTL: ttl, Wait: wait, Caller: "c"})
			if err != nil || r.Outcome != kv.Committed {
				return // not in time, or the engine was closed
			}
			for {
				last := l.tokens[name].Load()
				if uint64(r.Lease.Token) <= last {
					l.t.Errorf("seed %d: %s has token %d after %d", l.seed, name, r.Lease.Token, last)
				}
				if l.tokens[name].CompareAndSwap(last, uint64(r.Lease.Token)) {
					break
				}
			}
			if !forgets {
				time.Sleep(ttl / 2)
				_, _ = e.Unlock(l.t.Context(), name, r.Lease.Token)
			}
		}()
	}
	l.done["queue"]++
}
