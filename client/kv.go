package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A ReadOption says more about a read.
type ReadOption func(*read)

// read is what the options of one read ask for.
type read struct {
	local    bool
	keysOnly bool
	page     int
	limit    int
}

// Local reads what the endpoint has, which may be behind the cluster, without
// asking the leader.
func Local() ReadOption { return func(r *read) { r.local = true } }

// KeysOnly leaves values out of a list.
func KeysOnly() ReadOption { return func(r *read) { r.keysOnly = true } }

// PageSize is how many entries a list fetches at once; 1000.
func PageSize(n int) ReadOption { return func(r *read) { r.page = n } }

// Limit ends a list after n entries.
func Limit(n int) ReadOption { return func(r *read) { r.limit = n } }

func newRead(opts []ReadOption) *read {
	r := &read{page: 1000}
	for _, o := range opts {
		o(r)
	}
	return r
}

func (r *read) query() url.Values {
	q := url.Values{}
	if r.local {
		q.Set("consistency", "local")
	}
	return q
}

// Get returns the newest version of key. It fails with an error that matches
// ErrNotFound if there is none.
func (c *Client) Get(ctx context.Context, key string, opts ...ReadOption) (Entry, error) {
	resp, err := c.Do(ctx, &Request{
		Path: KeyPath("/v1/kv/", key), Query: newRead(opts).query(),
		Header: http.Header{"Accept": {"application/octet-stream"}},
	})
	if err != nil {
		return Entry{}, err
	}
	return rawEntry(key, resp)
}

// rawEntry returns the entry of an answer whose body is the value.
func rawEntry(key string, resp *Response) (Entry, error) {
	h := resp.Header
	e := Entry{
		Key: key, Value: resp.Body, ETag: h.Get("ETag"),
		Lease: LeaseID(h.Get("Keywatch-Lease")), Tier: h.Get("Keywatch-Tier"),
		Version: headerNumber(h, "Keywatch-Version"), CreateRev: Rev(headerNumber(h, "Keywatch-Create-Rev")),
		TTL: time.Duration(headerNumber(h, "Keywatch-TTL")) * time.Millisecond,
	}
	rev, ok := etagRev(e.ETag)
	if !ok {
		return Entry{}, fmt.Errorf("client: %w: it has no ETag of a revision", ErrNotKeywatch)
	}
	e.Rev = rev
	return e, nil
}

func headerNumber(h http.Header, name string) uint64 {
	n, _ := strconv.ParseUint(h.Get(name), 10, 64)
	return n
}

// Written is what a put did.
type Written struct {
	Rev     Rev    `json:"rev"`
	Version uint64 `json:"version"`
	Created bool   `json:"created"`
	// ETag names this version of the key; IfETag takes it. It is "" where the
	// condition was IfRev.
	ETag string `json:"etag,omitempty"`
}

// Put sets key to value. Without TTL, KeepTTL and OnLease the key stays until it
// is deleted, even if it had a TTL or a lease before. It takes If, IfFence and
// IdempotencyKey. It fails with an error that matches ErrConflict if a condition
// did not hold, ErrFenceLost or ErrLeaseEnded.
func (c *Client) Put(ctx context.Context, key string, value []byte, opts ...WriteOption) (Written, error) {
	w := newWrite(opts)
	switch w.cond.kind {
	case always, ifAbsent, ifExists, ifETag:
		return c.put(ctx, key, value, w)
	case ifValue:
		return c.swap(ctx, key, &value, w)
	}
	check, _ := w.cond.check(key)
	op := Op{kind: "put", key: key, value: value, ttl: w.ttl, lease: w.lease}
	result, err := c.batch(ctx, &Batch{Checks: []Check{check}, Ops: []Op{op}}, w)
	if err != nil {
		return Written{}, err
	}
	return result.Results[0].Written, nil
}

// put sends a PUT.
func (c *Client) put(ctx context.Context, key string, value []byte, w *write) (Written, error) {
	r := w.apply(w.conditions(&Request{
		Method: http.MethodPut, Path: KeyPath("/v1/kv/", key), Query: url.Values{}, Header: http.Header{}, Body: value,
	}))
	if w.ttl != "" {
		r.Query.Set("ttl", w.ttl)
	}
	if w.lease != "" {
		r.Query.Set("lease", string(w.lease))
	}
	return c.write(ctx, r)
}

// write sends a request that sets one key.
func (c *Client) write(ctx context.Context, r *Request) (Written, error) {
	var did Written
	resp, err := c.Do(ctx, r)
	if err == nil {
		err = decode(resp.Body, &did)
		did.ETag = resp.Header.Get("ETag")
	}
	return did, err
}

// swap sends a compare-and-swap by value; a nil value deletes the key.
func (c *Client) swap(ctx context.Context, key string, value *[]byte, w *write) (Written, error) {
	doc := struct {
		Expected string  `json:"expected"`
		New      *string `json:"new"`
		Encoding string  `json:"encoding,omitempty"`
		TTL      string  `json:"ttl,omitempty"`
		Lease    LeaseID `json:"lease,omitempty"`
	}{TTL: w.ttl, Lease: w.lease}
	values := [][]byte{w.cond.value}
	if value != nil {
		values = append(values, *value)
	}
	texts, encoding := encodeValues(values...)
	doc.Expected, doc.Encoding = texts[0], encoding
	if value != nil {
		doc.New = &texts[1]
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return Written{}, fmt.Errorf("client: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return c.write(ctx, w.apply(&Request{Method: http.MethodPost, Path: KeyPath("/v1/cas/", key), Header: header, Body: body}))
}

// CompareAndSwap sets key to value if cond holds. It fails with an error that
// matches ErrConflict, with the present entry in Error.Current, if it does not.
func (c *Client) CompareAndSwap(ctx context.Context, key string, cond Condition, value []byte, opts ...WriteOption) (Written, error) {
	return c.Put(ctx, key, value, append(opts[:len(opts):len(opts)], If(cond))...)
}

// Delete deletes key and reports whether there was one. It takes If, IfFence and
// IdempotencyKey, and fails as Put does.
func (c *Client) Delete(ctx context.Context, key string, opts ...WriteOption) (existed bool, err error) {
	w := newWrite(opts)
	switch w.cond.kind {
	case ifValue:
		_, err := c.swap(ctx, key, nil, w)
		return err == nil, err
	case ifETag:
		header := http.Header{"If-Match": {w.cond.etag}}
		_, err := c.Do(ctx, w.apply(&Request{Method: http.MethodDelete, Path: KeyPath("/v1/kv/", key), Header: header}))
		return err == nil, err
	}
	b := &Batch{Ops: []Op{OpDelete(key)}}
	if check, ok := w.cond.check(key); ok {
		b.Checks = []Check{check}
	}
	result, err := c.batch(ctx, b, w)
	if err != nil {
		return false, err
	}
	return result.Results[0].Deleted, nil
}

// DeletePrefix deletes all keys that begin with prefix in one revision, and
// returns how many there were. The empty prefix needs Everything. It takes
// IfFence and IdempotencyKey. The server bounds how many one request deletes.
func (c *Client) DeletePrefix(ctx context.Context, prefix string, opts ...WriteOption) (deleted int, err error) {
	w := newWrite(opts)
	r := w.apply(&Request{
		Method: http.MethodDelete, Path: "/v1/kv", Query: url.Values{"prefix": {prefix}}, Header: http.Header{},
	})
	if w.all {
		r.Query.Set("all", "1")
	}
	var did struct {
		Deleted int `json:"deleted"`
	}
	resp, err := c.Do(ctx, r)
	if err == nil {
		err = decode(resp.Body, &did)
	}
	return did.Deleted, err
}
