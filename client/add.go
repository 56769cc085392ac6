package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Sum is what an add did.
type Sum struct {
	Written
	// Value is the sum.
	Value int64 `json:"value,string"`
}

// Add adds by, which may be negative, to the whole number that is the key's value, 0 if
// there is no such key, and returns the sum. The key keeps its time to live and its lease.
// It takes If with IfAbsent, IfExists or IfETag, IfFence and IdempotencyKey. It fails with
// an *Error of code not_a_number if the value is no whole number of 64 bits, and of code
// number_overflow if the sum is none; else as Put does.
func (c *Client) Add(ctx context.Context, key string, by int64, opts ...WriteOption) (sum Sum, err error) {
	w := newWrite(opts)
	r := w.apply(w.conditions(&Request{
		Method: http.MethodPost, Path: KeyPath("/v1/add/", key), Header: http.Header{},
		Query: url.Values{"by": {strconv.FormatInt(by, 10)}},
	}))
	resp, err := c.Do(ctx, r)
	if err == nil {
		err = decode(resp.Body, &sum)
		sum.ETag = resp.Header.Get("ETag")
	}
	return sum, err
}

// Touch gives key another time to live, of at least a millisecond, and leaves its value;
// 0 takes the time to live from it. Watchers see the same value with a new version. It
// takes what Add does. It fails with an error that matches ErrNotFound if there is no such
// key, and else as Put does.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration, opts ...WriteOption) (Written, error) {
	w := newWrite(opts)
	return c.write(ctx, w.apply(w.conditions(&Request{
		Method: http.MethodPost, Path: KeyPath("/v1/touch/", key), Header: http.Header{},
		Query: url.Values{"ttl": {touchText(ttl)}},
	})))
}

// touchText writes the time to live that a touch gives.
func touchText(ttl time.Duration) string {
	if ttl == 0 {
		return "none"
	}
	return durationText(ttl)
}
