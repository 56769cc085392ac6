package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	// firstDelay and longestDelay bound the time between attempts; each delay
	// is a random part of its bound.
	firstDelay, longestDelay = 50 * time.Millisecond, 5 * time.Second
	// keyAge is how long after the first attempt a write is sent again: a
	// server forgets an Idempotency-Key after ten minutes.
	keyAge = 9 * time.Minute
)

// Do sends r, again where that is safe and may help, and returns the answer.
// It fails with *Error if the server refuses, with an error that matches
// ErrOutcomeUnknown if a write may have been applied, with one that matches
// ErrUnreachable if nothing took a connection, and otherwise as ctx does.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.opts.Patience+r.Wait, errPatience)
		defer cancel()
	}
	a := attempts{c: c, r: r.withKey(), at: int(c.preferred.Load()), began: time.Now()}
	return a.run(ctx)
}

var errPatience = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)

// attempts is one request on its way.
type attempts struct {
	c     *Client
	r     *Request
	at    int // the endpoint to use
	began time.Time

	tried   int   // attempts so far
	met     bool  // whether a server has taken the request
	unknown error // the last outcome that is not known
}

func (a *attempts) run(ctx context.Context) (*Response, error) {
	for {
		resp, err := a.once(ctx)
		if err == nil {
			a.c.preferred.Store(uint32(a.at))
			a.c.learn()
			return resp, resp.check(a.r.Path)
		}
		a.note(err)
		wait, again := a.next(err)
		if !again || !a.pause(ctx, wait) {
			return nil, a.verdict(ctx, err)
		}
	}
}

// once sends the request to the present endpoint.
func (a *attempts) once(ctx context.Context) (*Response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.c.opts.Attempt+a.r.Wait, errPatience)
	defer cancel()
	resp, err := a.c.send(ctx, a.at, a.r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &lostError{fmt.Errorf("read the answer: %w", err)}
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body, Sent: a.began}, nil
}

// note remembers what an attempt tells about the fate of the request.
func (a *attempts) note(err error) {
	a.tried++
	var lost *lostError
	var e *Error
	switch {
	case errors.As(err, &lost):
		a.met, a.unknown = true, err
	case errors.As(err, &e):
		a.met = true
		if !e.unapplied() {
			a.unknown = err
		}
	}
}

// next returns how long to wait before the next attempt, and whether there
// should be one. The next endpoint is tried at once until all were.
func (a *attempts) next(err error) (time.Duration, bool) {
	var lost *lostError
	var unreachable *unreachableError
	var e *Error
	round := a.tried%len(a.c.dir.all()) != 0
	again, after := false, time.Duration(0)
	switch {
	case errors.As(err, &e):
		again, after = e.Temporary(), e.RetryAfter
		round = round && e.Status != http.StatusTooManyRequests
	case errors.As(err, &lost):
		again = true
	case errors.As(err, &unreachable):
		again = round || a.met || !a.c.opts.FailFast
	}
	if a.r.IdempotencyKey != "" && time.Since(a.began) > keyAge {
		again = false
	}
	a.at = (a.at + 1) % len(a.c.dir.all())
	if round {
		return 0, again
	}
	return after + backoff(firstDelay, longestDelay, (a.tried-1)/len(a.c.dir.all())), again
}

// backoff returns a random delay of up to first, doubled n times, and at most
// longest (AWS, "Exponential Backoff And Jitter": full jitter).
func backoff(first, longest time.Duration, n int) time.Duration {
	bound := longest
	if n < 16 {
		bound = min(first<<n, longest)
	}
	return rand.N(bound + 1)
}

// pause waits, and reports whether another attempt can still be made.
func (a *attempts) pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	return sleep(ctx, d)
}

// verdict returns the error to report: the last one, unless an earlier attempt
// may have been applied and the last one does not settle that.
func (a *attempts) verdict(ctx context.Context, last error) error {
	var e *Error
	settled := errors.As(last, &e) && !e.Temporary() && e.unapplied()
	if a.unknown != nil && !settled && a.r.IdempotencyKey != "" {
		return &UnknownError{Key: a.r.IdempotencyKey, Err: because(ctx, a.unknown)}
	}
	return because(ctx, last)
}

// because joins why ctx ended to err, if it did and err does not say so.
func because(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w (%w)", err, cause)
}

// sleep waits and reports whether it was left in peace.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
