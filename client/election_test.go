package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/client"
	"keywatch/test/gate"
)

// If the client and the server did not mean the same by a lock, no program could
// rely on either.
func TestLockWithServer(t *testing.T) {
	ctx, c := gate.Context(t), connect(t, serve(t, app.ServeConfig{}).url)
	held, err := c.TryLock(ctx, "deploy", client.LockOptions{Owner: "me"})
	if err != nil {
		t.Fatal(err)
	}
	var refused *client.Error
	if _, err := c.TryLock(ctx, "deploy", client.LockOptions{}); !errors.Is(err, client.ErrLockHeld) || !errors.As(err, &refused) || len(refused.Holder) == 0 {
		t.Errorf("a second try: %v, want ErrLockHeld with the holder", err)
	}
	if _, err := held.Put(ctx, "app", []byte("v1"), client.OnLease(held.Lease())); err != nil {
		t.Fatalf("a write through the lock: %v", err)
	}
	if existed, err := held.Delete(ctx, "app"); err != nil || !existed {
		t.Errorf("a deletion through the lock: %v, %v", existed, err)
	}
	if _, err := held.CompareAndSwap(ctx, "app", client.IfAbsent(), []byte("v2"), client.OnLease(held.Lease())); err != nil {
		t.Errorf("a swap through the lock: %v", err)
	}
	if r, err := held.Batch(ctx, client.Batch{Checks: []client.Check{client.CheckLock("deploy", held.Token())}, Ops: []client.Op{client.OpPut("x/1", nil)}}); err != nil || !r.Committed {
		t.Errorf("a batch through the lock: %+v, %v", r, err)
	}
	if n, err := held.DeletePrefix(ctx, "x/"); err != nil || n != 1 {
		t.Errorf("a deletion by prefix through the lock: %d, %v", n, err)
	}
	if err := held.Unlock(ctx); err != nil {
		t.Fatal(err)
	}
	if err := held.Unlock(ctx); err != client.ErrReleased {
		t.Errorf("unlock again: %v, want ErrReleased", err)
	}
	if _, err := c.Get(ctx, "app"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("what hung on the lock: %v, want it gone", err)
	}
	if _, err := c.Put(ctx, "app", nil, held.Fence()); !errors.Is(err, client.ErrFenceLost) {
		t.Errorf("a write with the old fence: %v, want ErrFenceLost", err)
	}
	next, err := c.Lock(ctx, "deploy", client.LockOptions{})
	if err != nil || next.Token() <= held.Token() {
		t.Fatalf("the next holder: %v, %v; want a larger token than %d", next, err, held.Token())
	}
	if err := c.BreakLock(ctx, "deploy"); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Put(ctx, "app", nil); !errors.Is(err, client.ErrLockLost) {
		t.Errorf("a write through the broken lock: %v, want ErrLockLost", err)
	}
	if err := next.Unlock(ctx); !errors.Is(err, client.ErrLockLost) {
		t.Errorf("unlock of the broken lock: %v, want ErrLockLost", err)
	}
}

// If two holders could work at once, or one waited for ever, the count would not
// be right.
func TestLockExcludes(t *testing.T) {
	s := serve(t, app.ServeConfig{})
	ctx := gate.Context(t)
	const workers, rounds = 8, 6
	var wg sync.WaitGroup
	for range workers {
		c := connect(t, s.url)
		wg.Go(func() {
			for range rounds {
				held, err := c.Lock(ctx, "counter", client.LockOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				if e, err := c.Get(ctx, "count"); err == nil {
					n, _ = strconv.Atoi(string(e.Value))
				}
				if _, err := held.Put(ctx, "count", []byte(strconv.Itoa(n+1))); err != nil {
					t.Error(err)
				}
				if err := held.Unlock(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	e, err := connect(t, s.url).Get(ctx, "count")
	if err != nil || string(e.Value) != strconv.Itoa(workers*rounds) || e.Version != workers*rounds {
		t.Errorf("%s in version %d, %v; want %d", e.Value, e.Version, err, workers*rounds)
	}
}

// If a restart of the server cost everybody their locks, no server could ever
// be restarted.
func TestLockSurvivesRestart(t *testing.T) {
	config := app.ServeConfig{Config: app.Config{Data: t.TempDir()}}
	s := serve(t, config)
	c := connect(t, s.url)
	held, err := c.TryLock(gate.Context(t), "l", client.LockOptions{TTL: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock(context.Background())
	s.stop()
	config.Listen = s.url[len("http://"):]
	serve(t, config)
	if _, err := held.Put(gate.Context(t), "k", nil); err != nil {
		t.Errorf("a write through the lock after a restart: %v", err)
	}
}

// If a key outlived its lease, services would be found that are gone.
func TestLeaseWithServer(t *testing.T) {
	ctx, c := gate.Context(t), connect(t, serve(t, app.ServeConfig{}).url)
	lease, err := c.Grant(ctx, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(ctx, "svc/1", []byte("here"), client.OnLease(lease.ID())); err != nil {
		t.Fatal(err)
	}
	if e, err := c.Get(ctx, "svc/1"); err != nil || e.Lease != lease.ID() {
		t.Errorf("the key hangs on %q, %v; want %q", e.Lease, err, lease.ID())
	}
	info, err := c.LeaseInfo(ctx, lease.ID())
	if err != nil || info.TTL <= 0 || info.TTL > 10*time.Second {
		t.Errorf("the lease: %+v, %v", info, err)
	}
	if again, err := c.KeepLeaseAlive(ctx, lease.ID()); err != nil || again.TTL != 10*time.Second {
		t.Errorf("kept alive: %+v, %v", again, err)
	}
	causes := make(chan string, 1)
	watching := make(chan struct{})
	go func() {
		for e := range c.Watch(ctx, client.WatchOptions{Prefixes: []string{"svc/"}}) {
			if e.Type == client.EventSynced {
				close(watching)
			}
			if e.Type == client.EventDelete {
				causes <- e.Cause
				return
			}
		}
	}()
	<-watching
	if err := lease.Revoke(ctx); err != nil {
		t.Fatal(err)
	}
	if cause := <-causes; cause != "lease" {
		t.Errorf("deleted because of %q, want lease", cause)
	}
	if _, err := c.Put(ctx, "svc/2", nil, client.OnLease(lease.ID())); !errors.Is(err, client.ErrLeaseEnded) {
		t.Errorf("a key on an ended lease: %v, want ErrLeaseEnded", err)
	}
}

// If observers did not see who leads, an election would be for nothing.
func TestElection(t *testing.T) {
	s := serve(t, app.ServeConfig{})
	ctx, c := gate.Context(t), connect(t, s.url)
	election := c.Election("boss", 0)
	if _, err := election.Leader(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a leader before the first: %v", err)
	}
	leaders := make(chan client.Leader, 20)
	watching := make(chan struct{})
	go func() {
		first := true
		for l, err := range election.Observe(ctx) {
			if err != nil {
				return
			}
			if first {
				close(watching)
				first = false
			}
			leaders <- l
		}
	}()
	<-watching
	if l := <-leaders; l != (client.Leader{}) {
		t.Errorf("at first %+v leads, want nobody", l)
	}
	for i := range 3 {
		lead, err := election.Campaign(ctx, fmt.Sprint("node-", i))
		if err != nil {
			t.Fatal(err)
		}
		want := client.Leader{Value: fmt.Sprint("node-", i), Token: lead.Token()}
		if got := <-leaders; got != want {
			t.Errorf("%+v is seen to lead, want %+v", got, want)
		}
		if got, err := election.Leader(ctx); err != nil || got != want {
			t.Errorf("%+v leads, %v; want %+v", got, err, want)
		}
		if err := lead.Resign(ctx); err != nil {
			t.Fatal(err)
		}
		if got := <-leaders; got != (client.Leader{}) {
			t.Errorf("%+v is seen to lead after it resigned", got)
		}
	}
}
