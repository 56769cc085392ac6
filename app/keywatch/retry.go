package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Delays between attempts.
const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = 5 * time.Second
)

// lostError is an answer that did not come, or not whole: the request may
// have been applied.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// unreachableError is a request that never left, for want of a connection.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// retry runs try until it succeeds, fails for good, ctx ends, or the next
// attempt would come after until. Everything it runs is a read or carries an
// Idempotency-Key, so it is safe to repeat:
//
//   - 429 and 503 were not applied; the server says when to come back.
//   - 504, and an answer that was lost, may have been applied; the same key
//     makes the server give the same outcome again.
//   - A server that cannot be reached fails at once, unless it has answered
//     or taken a request before: then it may be restarting.
func retry(ctx context.Context, until time.Time, try func() error) error {
	met := false
	var worst error // an outcome that is not known must not be forgotten
	for delay := firstDelay; ; delay = min(2*delay, longestDelay) {
		err := try()
		if err == nil {
			return nil
		}
		wait, again := retryDelay(err, delay, met)
		if outcomeUnknown(err) {
			worst = err
		}
		met = true
		if !again || time.Until(until) < wait || !sleep(ctx, wait) {
			return worse(err, worst)
		}
	}
}

// worse returns the error to report: the last one, unless it says nothing of
// an earlier attempt whose outcome is not known.
func worse(last, unknown error) error {
	var p *problem
	if unknown == nil || errors.As(last, &p) && !mayPass(p) {
		return last
	}
	return unknown
}

// retryDelay returns how long to wait before trying again, and whether to.
func retryDelay(err error, delay time.Duration, met bool) (time.Duration, bool) {
	jittered := delay/2 + rand.N(delay)
	var p *problem
	var lost *lostError
	var unreachable *unreachableError
	switch {
	case errors.As(err, &p):
		if seconds, err := strconv.Atoi(p.retryAfter); err == nil && seconds >= 0 {
			jittered = time.Duration(seconds)*time.Second + rand.N(delay)
		}
		return jittered, mayPass(p)
	case errors.As(err, &lost):
		return jittered, true
	}
	return jittered, met && errors.As(err, &unreachable)
}

// mayPass reports whether the same request may succeed later.
func mayPass(p *problem) bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// outcomeUnknown reports whether a write that failed so may have been applied.
func outcomeUnknown(err error) bool {
	var lost *lostError
	var p *problem
	return errors.As(err, &lost) || errors.As(err, &p) && p.Status == http.StatusGatewayTimeout
}

// sleep waits and reports whether it was left in peace.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
