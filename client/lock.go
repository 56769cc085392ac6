package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// lockTTL is the default time to live of a lock.
	lockTTL = 10 * time.Second
	// longestWait is how long the server is asked to wait at a time.
	longestWait = 5 * time.Minute
	// giveBackTime bounds giving a lock back that came too late.
	giveBackTime = 3 * time.Second
)

// LockOptions configure a lock. The zero value of each field is its default.
type LockOptions struct {
	// TTL is how long the lock outlives a holder that no longer keeps it
	// alive; 10 s. It is kept alive each third of it.
	TTL time.Duration
	// Owner is shown to those who look at the lock.
	Owner string
	// Fences are IfFence options: the lock is asked for only while those locks are
	// held. Otherwise it fails with an error that matches ErrFenceLost.
	Fences []WriteOption
}

// Lock waits until it holds the lock, in order of arrival, and keeps it alive in
// the background. Unlock it. It fails as ctx does if that ends before. A lock is
// not re-entrant. Without a deadline in ctx it waits as long as it takes.
func (c *Client) Lock(ctx context.Context, name string, opts LockOptions) (*Held, error) {
	for {
		wait := longestWait
		if deadline, ok := ctx.Deadline(); ok {
			wait = min(wait, max(time.Until(deadline), time.Millisecond))
		}
		held, err := c.lock(ctx, name, opts, wait)
		again := errors.Is(err, ErrLockHeld) || errors.Is(err, ErrLockLost) && !errors.Is(err, ErrFenceLost)
		if err == nil || ctx.Err() != nil || !again {
			return held, err
		}
	}
}

// TryLock holds the lock if it is free, and fails with an error that
// matches ErrLockHeld if it is not.
func (c *Client) TryLock(ctx context.Context, name string, opts LockOptions) (*Held, error) {
	return c.lock(ctx, name, opts, 0)
}

// LockWait is Lock that gives up after wait, with an error that matches
// ErrLockHeld.
func (c *Client) LockWait(ctx context.Context, name string, opts LockOptions, wait time.Duration) (*Held, error) {
	return c.lock(ctx, name, opts, wait)
}

// lockGrant is the answer of a lock that was got, or renewed.
type lockGrant struct {
	Token Token   `json:"token"`
	Lease LeaseID `json:"lease"`
	TTL   int64   `json:"ttl_ms"`
}

func (g *lockGrant) ttl() time.Duration { return time.Duration(g.TTL) * time.Millisecond }

func lockPath(name string) string { return "/v1/locks/" + url.PathEscape(name) }

// lock asks once for the lock, and waits for at most wait.
func (c *Client) lock(ctx context.Context, name string, opts LockOptions, wait time.Duration) (*Held, error) {
	r, err := lockRequest(name, opts, wait)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(ctx, r)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrOutcomeUnknown) {
			c.giveBack(name, r)
		}
		return nil, err
	}
	var grant lockGrant
	if err := decode(resp.Body, &grant); err != nil {
		return nil, err
	}
	if grant.Token == 0 || grant.TTL <= 0 {
		return nil, fmt.Errorf("client: %w: it has no token", ErrNotKeywatch)
	}
	return c.hold(ctx, name, &grant, resp.Sent)
}

func lockRequest(name string, opts LockOptions, wait time.Duration) (*Request, error) {
	if opts.TTL == 0 {
		opts.TTL = lockTTL
	}
	doc := struct {
		TTL   string `json:"ttl"`
		Wait  string `json:"wait,omitempty"`
		Owner string `json:"owner,omitempty"`
	}{TTL: durationText(opts.TTL), Owner: opts.Owner}
	if wait > 0 {
		doc.Wait = durationText(min(wait, longestWait))
	}
	body, err := json.Marshal(doc)
	r := &Request{Method: http.MethodPost, Path: lockPath(name), Header: jsonBody.Clone(), Body: body, Wait: wait}
	return newWrite(opts.Fences).apply(r).withKey(), err
}

// giveBack asks in the background whether the request was granted after all,
// and if so releases the lock; a lock that waits loses its place when this is
// given up.
func (c *Client) giveBack(name string, r *Request) {
	c.released.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), giveBackTime)
		defer cancel()
		var grant lockGrant
		if c.attempt(ctx, r, &grant) == nil && grant.Token != 0 {
			_ = c.unlock(ctx, name, grant.Token) // else it ends after its time to live
		}
	})
}

// hold starts to keep a lock that was granted by a request sent at sent. A
// grant that waited is renewed first, because it is not known when it was made.
func (c *Client) hold(ctx context.Context, name string, grant *lockGrant, sent time.Time) (*Held, error) {
	h := &Held{c: c, name: name, token: grant.Token, lease: grant.Lease, ttl: grant.ttl()}
	h.k = keeper{
		end:   ErrLockLost,
		over:  func(err error) bool { return errors.Is(err, ErrLockLost) || errors.Is(err, ErrLeaseEnded) },
		renew: h.renew,
	}
	h.k.extend(h.ttl, sent)
	if time.Since(sent) > h.ttl/3 {
		if err := h.k.confirm(ctx, h.ttl); err != nil {
			c.released.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), giveBackTime)
				defer cancel()
				_ = c.unlock(ctx, name, grant.Token)
			})
			return nil, err
		}
	}
	h.k.keep()
	return h, nil
}

// unlock releases a lock by its token.
func (c *Client) unlock(ctx context.Context, name string, token Token) error {
	q := url.Values{"token": {strconv.FormatUint(uint64(token), 10)}}
	_, err := c.Do(ctx, &Request{Method: http.MethodDelete, Path: lockPath(name), Query: q})
	return err
}

// BreakLock takes a lock away from its holder. It takes IfFence and IdempotencyKey.
func (c *Client) BreakLock(ctx context.Context, name string, opts ...WriteOption) error {
	_, err := c.Do(ctx, newWrite(opts).apply(&Request{
		Method: http.MethodDelete, Path: lockPath(name), Query: url.Values{"force": {"1"}}, Header: http.Header{},
	}))
	return err
}
