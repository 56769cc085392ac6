package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// client talks to one server.
type client struct {
	base    *url.URL
	http    *http.Client
	timeout time.Duration
}

// newClient returns a client of the server at address, a URL or host:port.
func newClient(address string, timeout time.Duration) (*client, error) {
	if address != "" && !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, usagef("--server %q is not an http or https address", address)
	}
	if timeout <= 0 {
		return nil, usagef("--timeout must be more than 0")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // a value is bytes, and an ETag is of those bytes
	// A redirect is an answer that no keywatch server gives.
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{base: base, http: &http.Client{Transport: transport, CheckRedirect: noRedirect}, timeout: timeout}, nil
}

// request is one request; it can be sent again.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte
	// key is the Idempotency-Key. Whatever is not a GET has one.
	key string
}

// newRead returns a request that changes nothing.
func newRead(path string) *request {
	return &request{method: http.MethodGet, path: path, query: url.Values{}, header: http.Header{}}
}

// newWrite returns a request that changes something. Without a key it gets
// one of its own, so that it may be sent again when an answer is lost.
func newWrite(method, path string, body []byte, key string) *request {
	if key == "" {
		key = rand.Text()
	}
	return &request{method: method, path: path, query: url.Values{}, header: http.Header{}, body: body, key: key}
}

// answer is a good answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// unknownOutcomeError is a write of which nobody knows whether it was applied.
type unknownOutcomeError struct {
	key string
	err error
}

func (e *unknownOutcomeError) Error() string { return e.err.Error() }
func (e *unknownOutcomeError) Unwrap() error { return e.err }

// do sends r, again where that is safe and may help, and returns the answer.
// An answer that is an error comes back as a *problem.
func (c *client) do(ctx context.Context, r *request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var got *answer
	deadline, _ := ctx.Deadline()
	err := retry(ctx, deadline, func() error {
		resp, err := c.open(ctx, r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return &lostError{fmt.Errorf("read the answer: %w", err)}
		}
		got = &answer{status: resp.StatusCode, header: resp.Header, body: body}
		return nil
	})
	if err != nil && r.key != "" && outcomeUnknown(err) {
		err = &unknownOutcomeError{key: r.key, err: err}
	}
	return got, err
}

// open sends r once and returns a good answer, its body unread and for the
// caller to close. Errors are *problem, *lostError and *unreachableError.
func (c *client) open(ctx context.Context, r *request) (*http.Response, error) {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, r.method, c.url(r), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header = r.header.Clone()
	req.Header.Set("User-Agent", "keywatch")
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.transportError(err, connected.Load())
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, &lostError{fmt.Errorf("read the answer: %w", err)}
	}
	return nil, parseProblem(resp.StatusCode, resp.Header, body)
}

func (c *client) url(r *request) string {
	u := strings.TrimSuffix(c.base.Scheme+"://"+c.base.Host+c.base.EscapedPath(), "/") + r.path
	if len(r.query) > 0 {
		u += "?" + r.query.Encode()
	}
	return u
}

// transportError tells a request that never left from one whose answer is
// lost.
func (c *client) transportError(err error, connected bool) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if !connected {
		return &unreachableError{fmt.Errorf("cannot reach %s: %w", c.base.Host, err)}
	}
	return &lostError{fmt.Errorf("no answer from %s: %w", c.base.Host, err)}
}

// keyPath returns the path of a key under base, with everything escaped that
// needs it and the slashes kept.
func keyPath(base, key string) string {
	segments := strings.Split(key, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return base + strings.Join(segments, "/")
}
