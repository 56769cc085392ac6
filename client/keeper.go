package client

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxMargin bounds how much earlier than its end a grant is given up, which
// makes up for clocks that do not run alike.
const maxMargin = time.Second

// A keeper keeps something alive that otherwise expires: a lease or a lock. What
// it keeps is trusted until its time to live, counted on this machine's
// monotonic clock from when the last answered request was sent, less a margin.
type keeper struct {
	// renew asks for more time once, and returns how much the server gave.
	renew func(ctx context.Context) (ttl time.Duration, err error)
	// over are errors of renew that mean the end, and end what done then says.
	over func(err error) bool
	end  error

	cancel context.CancelFunc
	// done is closed when what is kept can no longer be trusted.
	done    chan struct{}
	stopped chan struct{} // closed when the goroutine has ended

	mu struct {
		sync.Mutex
		ttl    time.Duration
		expiry time.Time // with its monotonic reading
		err    error     // why it is over
	}
}

// keep starts to keep what extend was told of. It ends when it is released, or
// when trust has ended.
func (k *keeper) keep() {
	k.done, k.stopped = make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	go k.run(ctx)
}

// confirm renews before keep, for at most ttl. It fails with an error that
// matches end if that cannot be had.
func (k *keeper) confirm(ctx context.Context, ttl time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ttl, errPatience)
	defer cancel()
	for n := 0; ; n++ {
		err := k.once(ctx, ttl)
		if err == nil {
			return nil
		}
		if k.over(err) || !sleep(ctx, backoff(firstDelay, ttl/6, n)) {
			return errors.Join(k.end, because(ctx, err))
		}
	}
}

// margin is how much before its end a grant of ttl is no longer trusted.
func margin(ttl time.Duration) time.Duration { return min(ttl/10, maxMargin) }

func (k *keeper) extend(ttl time.Duration, sent time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.ttl = ttl
	if expiry := sent.Add(ttl - margin(ttl)); expiry.After(k.mu.expiry) {
		k.mu.expiry = expiry
	}
}

// times returns the time to live and the end of trust.
func (k *keeper) times() (ttl time.Duration, expiry time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.ttl, k.mu.expiry
}

// err returns why it is over, nil while it can be trusted. It looks at the clock
// itself: after a pause of the process the goroutine may not have run yet.
func (k *keeper) err() error {
	k.mu.Lock()
	if k.mu.err == nil && !time.Now().Before(k.mu.expiry) {
		k.finishLocked(k.end)
	}
	defer k.mu.Unlock()
	return k.mu.err
}

// finish ends trust, for the reason err, if it has not ended before.
func (k *keeper) finish(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finishLocked(err)
}

func (k *keeper) finishLocked(err error) {
	if k.mu.err == nil {
		k.mu.err = err
		close(k.done)
		k.cancel()
	}
}

// release ends the keeping, waits for its goroutine, and returns why it had
// ended before, nil if it had not.
func (k *keeper) release() error {
	err := k.err()
	k.finish(ErrReleased)
	<-k.stopped
	return err
}

// run renews until ctx ends or trust does. The end of trust has a timer of its
// own, because a renewal may hang.
func (k *keeper) run(ctx context.Context) {
	defer close(k.stopped)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { k.renewals(ctx) })
	for {
		_, expiry := k.times()
		if !sleep(ctx, time.Until(expiry)) {
			return
		}
		if k.err() != nil {
			return
		}
	}
}

// renewals renews each third of the time to live; after a failure sooner, with
// full jitter.
func (k *keeper) renewals(ctx context.Context) {
	for failures := 0; ; {
		ttl, _ := k.times()
		wait := ttl / 3
		if failures > 0 {
			wait = backoff(max(ttl/30, time.Millisecond), ttl/6, failures-1)
		}
		if !sleep(ctx, wait) {
			return
		}
		if err := k.once(ctx, ttl); err == nil {
			failures = 0
		} else if failures++; k.over(err) {
			k.finish(errors.Join(k.end, err))
			return
		}
	}
}

// once renews once. An attempt has a third of the time to live.
func (k *keeper) once(ctx context.Context, ttl time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ttl/3, errPatience)
	defer cancel()
	sent := time.Now()
	given, err := k.renew(ctx)
	if err == nil {
		k.extend(given, sent)
	}
	return err
}

// attempt sends r once to the preferred endpoint, and makes the next one
// preferred if that fails. The answer must count from when this was called.
func (c *Client) attempt(ctx context.Context, r *Request, into any) error {
	at := c.preferred.Load()
	a := attempts{c: c, r: r, at: int(at), began: time.Now()}
	resp, err := a.once(ctx)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Temporary() {
			c.preferred.CompareAndSwap(at, (at+1)%uint32(len(c.dir.all())))
		}
		return err
	}
	if into == nil || len(resp.Body) == 0 {
		return nil
	}
	return decode(resp.Body, into)
}
