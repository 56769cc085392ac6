package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	kw "keywatch/client"
)

// client talks to one server, one request of a command at a time.
type client struct {
	base    *url.URL
	kw      *kw.Client
	timeout time.Duration
}

// newClient returns a client of the server at address, a URL or host:port.
func newClient(address string, timeout time.Duration) (*client, error) {
	if address != "" && !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, usagef("--server %q is not an http or https address", address)
	}
	if timeout <= 0 {
		return nil, usagef("--timeout must be more than 0")
	}
	c, err := kw.New(kw.Options{
		Endpoints: []string{address}, Patience: timeout, Attempt: timeout, FailFast: true,
		Header: http.Header{"User-Agent": {"keywatch"}},
	})
	if err != nil || base.Host == "" {
		return nil, usagef("--server %q is not an http or https address", address)
	}
	return &client{base: base, kw: c, timeout: timeout}, nil
}

// request is one request; it can be sent again.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte
	// key is the Idempotency-Key; a write without one gets a random one.
	key string
}

// newRead returns a request that changes nothing.
func newRead(path string) *request {
	return &request{method: http.MethodGet, path: path, query: url.Values{}, header: http.Header{}}
}

// newWrite returns a request that changes something.
func newWrite(method, path string, body []byte, key string) *request {
	return &request{method: method, path: path, query: url.Values{}, header: http.Header{}, body: body, key: key}
}

func (r *request) send() *kw.Request {
	return &kw.Request{Method: r.method, Path: r.path, Query: r.query, Header: r.header, Body: r.body, IdempotencyKey: r.key}
}

// answer is a good answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends r, again where that is safe and may help, and returns the answer. It
// fails as kw.Client.Do does.
func (c *client) do(ctx context.Context, r *request) (*answer, error) {
	got, err := c.kw.Do(ctx, r.send())
	if err != nil {
		return nil, err
	}
	return &answer{status: got.Status, header: got.Header, body: got.Body}, nil
}

// open sends r once and returns a good answer, its body unread and for the
// caller to close. It fails as kw.Client.Open does.
func (c *client) open(ctx context.Context, r *request) (*http.Response, error) {
	return c.kw.Open(ctx, r.send())
}

// keyPath returns the path of a key under base.
func keyPath(base, key string) string { return kw.KeyPath(base, key) }

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
