package client_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/client"
	"keywatch/test/gate"
)

// bubble runs f where time is not real, with a client of a fake server.
func bubble(t *testing.T, f func(t *testing.T, fake *fakeLocks, c *client.Client)) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeLocks()
		c, err := client.New(client.Options{HTTP: &http.Client{Transport: fake}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f(t, fake, c)
	})
}

// open reports whether done is not closed.
func open(done <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return false
	default:
		return true
	}
}

// If a holder believed in its lock when the server had given it to another, two
// would do what only one may. The network delays and loses at random, for hours.
func TestHolderNeverBelievesTooLong(t *testing.T) {
	seed := gate.Seed(t)
	bubble(t, func(t *testing.T, fake *fakeLocks, c *client.Client) {
		r := rand.New(rand.NewPCG(seed, 0))
		fake.delay = 700 * time.Millisecond
		held, lost := 0, 0
		for range 60 {
			fake.lose(r.IntN(30))
			lock, err := c.Lock(t.Context(), "l", client.LockOptions{TTL: 5 * time.Second})
			if errors.Is(err, client.ErrOutcomeUnknown) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			until := time.Now().Add(time.Duration(r.IntN(120)) * time.Second)
			fake.lose(max(0, r.IntN(121)-20)) // nothing is lost in a sixth of all rounds
			for time.Now().Before(until) && lock.Err() == nil {
				if got := client.Token(fake.token("l")); got != lock.Token() {
					t.Fatalf("the holder of %d believes in its lock, which is held under %d", lock.Token(), got)
				}
				time.Sleep(time.Duration(1+r.IntN(100)) * time.Millisecond)
			}
			if lock.Err() == nil {
				held++
			} else {
				lost++
				if open(lock.Done()) {
					t.Fatal("the lock is lost and Done is not closed")
				}
			}
			fake.lose(0)
			if err := lock.Unlock(t.Context()); err != nil && !errors.Is(err, client.ErrLockLost) {
				t.Fatal(err)
			}
		}
		if held == 0 || lost == 0 {
			t.Errorf("%d locks were held to the end and %d lost: nothing was tried", held, lost)
		}
	})
}

// If a lock were lost without need, or kept after the server was gone, holders
// would stop for nothing or never.
func TestLockIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, fake *fakeLocks, c *client.Client) {
		held, err := c.TryLock(t.Context(), "l", client.LockOptions{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := held.Err(); err != nil || !open(held.Done()) {
			t.Fatalf("after an hour: %v", err)
		}
		if n := fake.renewals(); n < 1000 || n > 1200 {
			t.Errorf("%d renewals in an hour, want one each third of 10 s", n)
		}
		fake.lose(100)
		gone := time.Now()
		<-held.Done()
		if took := time.Since(gone); took < 5*time.Second || took > 9*time.Second {
			t.Errorf("given up %v after the server was gone, want before the ttl of 10 s and not at once", took)
		}
		if !errors.Is(held.Err(), client.ErrLockLost) {
			t.Errorf("lost because of %v", held.Err())
		}
		if _, err := held.Put(t.Context(), "k", nil); !errors.Is(err, client.ErrLockLost) {
			t.Errorf("a write through a lost lock: %v", err)
		}
		fake.lose(0)
		if err := held.Unlock(t.Context()); !errors.Is(err, client.ErrLockLost) {
			t.Errorf("unlock of a lost lock: %v", err)
		}
	})
}

// If a lock that was lost were noticed late, or a write through it
// applied, the fence would be for nothing.
func TestLockIsBroken(t *testing.T) {
	bubble(t, func(t *testing.T, fake *fakeLocks, c *client.Client) {
		held, err := c.TryLock(t.Context(), "l", client.LockOptions{TTL: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := held.Context(t.Context())
		defer cancel()
		if _, err := held.Put(t.Context(), "k", nil); err != nil {
			t.Fatalf("a write through the lock: %v", err)
		}
		fake.breakLock("l")
		if _, err := held.Put(t.Context(), "k", nil); !errors.Is(err, client.ErrFenceLost) {
			t.Errorf("a write through the broken lock: %v", err)
		}
		broken := time.Now()
		<-ctx.Done()
		if took := time.Since(broken); took > 10*time.Second {
			t.Errorf("noticed after %v, want a third of the ttl", took)
		}
		if !errors.Is(context.Cause(ctx), client.ErrLockLost) {
			t.Errorf("the context ended because of %v", context.Cause(ctx))
		}
		held.Unlock(t.Context())
	})
}

// If waiting were not fair, or a grant after a long wait not trusted for what it
// is, the last in line might never work.
func TestLockWaits(t *testing.T) {
	bubble(t, func(t *testing.T, fake *fakeLocks, c *client.Client) {
		first, err := c.TryLock(t.Context(), "l", client.LockOptions{TTL: 2 * time.Second, Owner: "first"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.TryLock(t.Context(), "l", client.LockOptions{}); !errors.Is(err, client.ErrLockHeld) {
			t.Fatalf("a second try: %v, want ErrLockHeld", err)
		}
		if _, err := c.LockWait(t.Context(), "l", client.LockOptions{}, time.Second); !errors.Is(err, client.ErrLockHeld) {
			t.Fatalf("a wait of a second: %v, want ErrLockHeld", err)
		}
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				held, err := c.Lock(context.Background(), "l", client.LockOptions{TTL: 2 * time.Second})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(5 * time.Second) // longer than the ttl
				if err := held.Unlock(context.Background()); err != nil {
					t.Errorf("unlock by %d: %v", i, err)
				}
			})
			time.Sleep(time.Millisecond) // in this order
		}
		time.Sleep(7 * time.Minute) // longer than one long poll
		if err := first.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if len(order) != 20 || !slices.IsSorted(order) {
			t.Errorf("got in the order %v", order)
		}
	})
}

// If a caller who gave up left a lock behind, no other client would get it for its
// time to live.
func TestLockGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, fake *fakeLocks, c *client.Client) {
		fake.delay = time.Second
		for i := range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Millisecond)
			held, err := c.Lock(ctx, "l", client.LockOptions{TTL: time.Hour})
			cancel()
			if err == nil {
				err = held.Unlock(t.Context())
			} else if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, client.ErrLockHeld) {
				t.Errorf("given up: %v", err)
			} else {
				err = nil
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if token := fake.token("l"); token != 0 {
				t.Fatalf("after %d ms the lock is held under %d by nobody", i*50, token)
			}
		}
	})
}

// If a lease were believed in longer than it lives, what is attached to it would be
// gone without anybody knowing.
func TestLease(t *testing.T) {
	bubble(t, func(t *testing.T, fake *fakeLocks, c *client.Client) {
		fake.delay = 100 * time.Millisecond
		lease, err := c.Grant(t.Context(), 3*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := lease.Err(); err != nil || !open(lease.Done()) {
			t.Fatalf("after a minute: %v", err)
		}
		if err := c.RevokeLease(t.Context(), lease.ID()); err != nil {
			t.Fatal(err)
		}
		revoked := time.Now()
		<-lease.Done()
		if took := time.Since(revoked); took > 1200*time.Millisecond || !errors.Is(lease.Err(), client.ErrLeaseEnded) {
			t.Errorf("revoked by another, noticed after %v: %v", took, lease.Err())
		}
		lease.Close()
		if err := lease.Revoke(t.Context()); !errors.Is(err, client.ErrLeaseEnded) {
			t.Errorf("revoke of an ended lease: %v", err)
		}
		if _, err := c.KeepLease(t.Context(), lease.ID()); !errors.Is(err, client.ErrLeaseEnded) {
			t.Errorf("keeping an ended lease: %v", err)
		}
		kept, err := c.GrantLease(t.Context(), 2500*time.Microsecond)
		if err != nil || kept.TTL != 3*time.Millisecond {
			t.Errorf("a lease of 2.5 ms lives %v, %v; want it rounded up", kept.TTL, err)
		}
	})
}
