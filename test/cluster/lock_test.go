package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"keywatch/test/load"
)

// lockTTL is that of the lock of a counter.
const lockTTL = time.Second

// A counter is a key that holders of one lock count up: each takes the lock, reads, and writes
// one more under the fence of its token. Some rest for longer than the lock lasts before they
// write. Two that write in turn what both have read lose one.
type counter struct {
	to       load.Target
	key      string
	lock     string
	patience time.Duration
	mu       struct {
		sync.Mutex
		added  int // writes that were acknowledged
		fenced int // and refused, since another one had the lock
		err    error
	}
}

// hold is one holder, until ctx ends; its requests end with hard.
func (c *counter) hold(ctx, hard context.Context, t testing.TB, seed uint64, id int) {
	cl, rng := load.Of(t, c.to, c.patience), rand.New(rand.NewPCG(seed, uint64(400+id)))
	for n := 0; ctx.Err() == nil; n++ {
		if err := c.add(hard, cl, rng, fmt.Sprintf("%s.%d.%d", c.lock, id, n)); err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *counter) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.err == nil {
		c.mu.err = err
	}
}

// add takes the lock, if it gets it, and counts up. name is in the Idempotency-Keys.
func (c *counter) add(ctx context.Context, cl *load.Client, rng *rand.Rand, name string) error {
	take := load.Call{Method: "POST", Path: "/v1/locks/" + c.lock, Body: fmt.Sprintf(`{"ttl":"%v","wait":"500ms"}`, lockTTL)}
	a, err := cl.Settle(ctx, c.to, take.With("Idempotency-Key", name+".lock"))
	if err != nil || a.Status == 409 {
		return err
	}
	var held struct{ Token uint64 }
	if err := a.Decode(&held); a.Status != 200 || err != nil {
		return fmt.Errorf("lock: status %d: %s", a.Status, a.Body)
	}
	value, err := c.read(ctx, cl)
	if err != nil {
		return err
	}
	if rng.IntN(20) == 0 {
		rest(ctx, lockTTL+200*time.Millisecond)
	}
	write := load.PutCall(c.key, strconv.Itoa(value+1)).With("If-Fence", fmt.Sprintf("%s=%d", c.lock, held.Token))
	if a, err = cl.Settle(ctx, c.to, write.With("Idempotency-Key", name+".put")); err != nil {
		return err
	}
	if err := c.wrote(a); err != nil {
		return err
	}
	free := load.Call{Method: "DELETE", Path: fmt.Sprintf("/v1/locks/%s?token=%d", c.lock, held.Token)}
	_, err = cl.Settle(ctx, c.to, free.With("Idempotency-Key", name+".free"))
	return err
}

// read returns what the counter is now.
func (c *counter) read(ctx context.Context, cl *load.Client) (int, error) {
	a, err := cl.Settle(ctx, c.to, load.GetCall(c.key))
	if err != nil || a.Status == 404 {
		return 0, err
	}
	if a.Status != 200 {
		return 0, fmt.Errorf("read the counter: status %d: %s", a.Status, a.Body)
	}
	return strconv.Atoi(a.Body)
}

func (c *counter) wrote(a *load.Answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch a.Status {
	case 200, 201:
		c.mu.added++
	case 412:
		c.mu.fenced++
	default:
		return fmt.Errorf("write the counter: status %d: %s", a.Status, a.Body)
	}
	return nil
}

// judge says what is wrong with the counter, given what it is at the end.
func (c *counter) judge(value int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.err == nil && value != c.mu.added {
		return fmt.Errorf("%d increments were acknowledged and the counter is %d", c.mu.added, value)
	}
	return c.mu.err
}

// rest returns after d, or when ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
