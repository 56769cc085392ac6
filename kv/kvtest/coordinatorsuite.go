package kvtest

import (
	"context"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
)

const (
	// patience bounds what the suite waits for, on a machine that is busy.
	patience = 5 * time.Minute
	// queued is how long those wait who stand in line.
	queued = 4 * time.Minute
)

// passes is how much time passes between two looks, where it does not on its own.
const passes = 10 * time.Millisecond

// CoordinatorSuite runs the conformance suite of leases and locks; open returns
// an empty store each time.
func CoordinatorSuite(t *testing.T, open func(*testing.T) Coordinator) {
	for _, c := range []struct {
		name string
		run  func(*coordination)
	}{
		{"keys of a lease go together", keysGoTogether},
		{"a put without the lease leaves it", putLeavesLease},
		{"what has ended is not revived", endedIsNotRevived},
		{"a lease ends by itself, not early", leaseEndsByItself},
		{"a lock has one holder, who is a key", lockIsAKey},
		{"a queue keeps its order", queueKeepsOrder},
		{"a fence holds while its lock is held", fenceHolds},
		{"only the holder's token keeps and releases", onlyTheToken},
		{"a broken lock goes on to the next", brokenLockGoesOn},
		{"the end of a holder's lease frees the lock", leaseFreesLock},
		{"a prefix deletion leaves locks", prefixLeavesLocks},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := open(t)
			c.run(&coordination{suite{t, store}, store})
		})
	}
}

type coordination struct {
	suite
	store Coordinator
}

// leased puts a key on a lease.
func (s *coordination) leased(key string, id kv.LeaseID) Answer {
	s.Helper()
	op := Put(key, "v")
	op.Lease = id
	return s.do(&kv.Command{Ops: []kv.Op{op}})
}

func (s *coordination) grant(ttl time.Duration) kv.LeaseID {
	s.Helper()
	id, err := s.store.Grant(context.Background(), ttl)
	if err != nil || id == (kv.LeaseID{}) {
		s.Fatalf("grant: got %v, %v, want a lease", id, err)
	}
	return id
}

// lives says whether a lease must live.
func (s *coordination) lives(id kv.LeaseID, want bool) {
	s.Helper()
	got, err := s.store.Lives(context.Background(), id)
	if err != nil || got != want {
		s.Errorf("lease lives: got %v, %v, want %v", got, err, want)
	}
}

// outcome runs something that only has an outcome.
func outcome[T any](s *coordination, f func(context.Context, T) (kv.Outcome, error), about T, want kv.Outcome) {
	s.Helper()
	got, err := f(context.Background(), about)
	if err != nil || got != want {
		s.Errorf("got outcome %d, %v, want %d", got, err, want)
	}
}

// ofToken gives an operation on a lock the shape that outcome wants.
func ofToken(f func(context.Context, string, kv.Rev) (kv.Outcome, error)) func(context.Context, kv.Rev) (kv.Outcome, error) {
	return func(ctx context.Context, token kv.Rev) (kv.Outcome, error) { return f(ctx, "l", token) }
}

// acquire asks for the lock l.
func (s *coordination) acquire(owner string, wait time.Duration, want kv.Outcome) Held {
	s.Helper()
	h, err := s.store.Acquire(context.Background(), lock.Request{Name: "l", TTL: time.Hour, Wait: wait, Owner: owner})
	if err != nil || h.Outcome != want {
		s.Errorf("%s: got %+v, %v, want outcome %d", owner, h, err, want)
	}
	return h
}

// A turn is the lock in one holder's hands.
type turn struct {
	owner string
	Held
}

// line has each of owners wait for the lock, one behind the other.
func (s *coordination) line(owners ...string) <-chan turn {
	s.Helper()
	turns := make(chan turn, len(owners))
	for i, owner := range owners {
		go func() { turns <- turn{owner, s.acquire(owner, queued, kv.Committed)} }()
		s.eventually(owner+" waits", func() bool {
			queue, err := s.store.Queue(context.Background(), "l")
			return err == nil && len(queue) == i+1 && queue[i] == owner
		})
	}
	return turns
}

// next returns the next turn, which must be owner's.
func (s *coordination) next(turns <-chan turn, owner string) turn {
	s.Helper()
	select {
	case t := <-turns:
		if t.owner != owner {
			s.Errorf("the lock went to %s, want %s", t.owner, owner)
		}
		return t
	case <-time.After(patience):
		s.Fatalf("the lock did not go to %s", owner)
		return turn{}
	}
}

// eventually polls until ok, letting time pass where it does not on its own.
func (s *coordination) eventually(what string, ok func() bool) {
	s.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			s.Fatalf("never: %s", what)
		}
		if p, still := s.store.(Passer); still {
			if err := p.Pass(passes); err != nil {
				s.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
}
