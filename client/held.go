package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// A Held is a lock that is held. Unlock it.
type Held struct {
	c     *Client
	name  string
	token Token
	lease LeaseID
	ttl   time.Duration
	k     keeper
}

// renew asks once for another time to live.
func (h *Held) renew(ctx context.Context) (time.Duration, error) {
	grant := lockGrant{TTL: h.ttl.Milliseconds()}
	err := h.c.attempt(ctx, &Request{
		Method: http.MethodPost, Path: lockPath(h.name) + "/keepalive", Repeatable: true,
		Header: jsonBody, Body: fmt.Appendf(nil, `{"token":%d}`, h.token),
	}, &grant)
	return grant.ttl(), err
}

// Name returns the lock's name.
func (h *Held) Name() string { return h.name }

// Token returns the fencing token: of two holders the later has the larger.
func (h *Held) Token() Token { return h.token }

// Lease returns the lease that the lock is attached to. Keys put with OnLease of it
// go when the lock does.
func (h *Held) Lease() LeaseID { return h.lease }

// Done is closed the moment that ownership can no longer be trusted: the server
// says so, or the time to live has almost passed since the last renewal that was
// answered was sent. A process that was paused learns it late; the fence does not.
func (h *Held) Done() <-chan struct{} { return h.k.done }

// Err returns why the lock is no longer held, nil while it is: an error that
// matches ErrLockLost, or ErrReleased after Unlock. It looks at the clock and is
// right also after a pause.
func (h *Held) Err() error { return h.k.err() }

// Context returns a context that ends when ctx does or when ownership can no
// longer be trusted; its cause then is Err. cancel frees its resources.
func (h *Held) Context(ctx context.Context) (held context.Context, cancel context.CancelFunc) {
	held, end := context.WithCancelCause(ctx)
	finished := make(chan struct{}) // closed when the goroutine has ended
	go func() {
		defer close(finished)
		select {
		case <-h.k.done:
			end(h.Err())
		case <-held.Done():
		}
	}()
	return held, func() {
		end(nil)
		<-finished
	}
}

// Unlock releases the lock. It fails with an error that matches ErrLockLost if
// the lock was lost before. It may be called twice; then it fails with
// ErrReleased.
func (h *Held) Unlock(ctx context.Context) error {
	before := h.k.release()
	if before == ErrReleased {
		return before
	}
	err := h.c.unlock(ctx, h.name, h.token)
	if before != nil {
		return before
	}
	return err
}

// Fence returns an option that makes the server refuse a write unless the lock
// is still held.
func (h *Held) Fence() WriteOption { return IfFence(h.name, h.token) }

// fenced returns opts with the fence, or why the lock is not held.
func (h *Held) fenced(opts []WriteOption) ([]WriteOption, error) {
	if err := h.Err(); err != nil {
		return nil, err
	}
	return append(opts[:len(opts):len(opts)], h.Fence()), nil
}

// Put is Client.Put through the lock: it is refused, with an error that matches
// ErrLockLost, once the lock is no longer held.
func (h *Held) Put(ctx context.Context, key string, value []byte, opts ...WriteOption) (Written, error) {
	opts, err := h.fenced(opts)
	if err != nil {
		return Written{}, err
	}
	return h.c.Put(ctx, key, value, opts...)
}

// CompareAndSwap is Client.CompareAndSwap through the lock.
func (h *Held) CompareAndSwap(ctx context.Context, key string, cond Condition, value []byte, opts ...WriteOption) (Written, error) {
	opts, err := h.fenced(opts)
	if err != nil {
		return Written{}, err
	}
	return h.c.CompareAndSwap(ctx, key, cond, value, opts...)
}

// Delete is Client.Delete through the lock.
func (h *Held) Delete(ctx context.Context, key string, opts ...WriteOption) (existed bool, err error) {
	opts, err = h.fenced(opts)
	if err != nil {
		return false, err
	}
	return h.c.Delete(ctx, key, opts...)
}

// DeletePrefix is Client.DeletePrefix through the lock.
func (h *Held) DeletePrefix(ctx context.Context, prefix string, opts ...WriteOption) (deleted int, err error) {
	opts, err = h.fenced(opts)
	if err != nil {
		return 0, err
	}
	return h.c.DeletePrefix(ctx, prefix, opts...)
}

// Batch is Client.Batch through the lock.
func (h *Held) Batch(ctx context.Context, b Batch, opts ...WriteOption) (BatchResult, error) {
	opts, err := h.fenced(opts)
	if err != nil {
		return BatchResult{}, err
	}
	return h.c.Batch(ctx, b, opts...)
}
