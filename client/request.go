package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// maxProblem bounds what is read of an answer that is an error, in bytes.
const maxProblem = 8 << 20

// A Request is one request in the words of the HTTP interface, for what the
// other methods do not cover. It is not changed and can be sent again.
type Request struct {
	// Method is GET by default.
	Method string
	// Path is absolute and escaped; see KeyPath.
	Path   string
	Query  url.Values
	Header http.Header
	Body   []byte
	// IdempotencyKey makes sure that what is sent twice is applied once. A
	// request that is not a GET or HEAD gets a random one.
	IdempotencyKey string
	// Repeatable says that applying it twice is the same as once, so that it
	// needs no IdempotencyKey.
	Repeatable bool
	// Wait is how much longer than Options.Attempt the server may take to
	// answer, because it was asked to wait.
	Wait time.Duration
}

// A Response is a good answer, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	// Sent is when the request was first sent: whatever the answer grants began
	// at this time at the earliest. It has a monotonic reading.
	Sent time.Time
}

// keyRoutes are the routes whose answers carry headers of keywatch.
var keyRoutes = []string{"/v1/kv", "/v1/cas/", "/v1/batch"}

// check fails with ErrNotKeywatch if another server has answered: a page that it
// serves under any path must not pass for a value.
func (r *Response) check(path string) error {
	if !slices.ContainsFunc(keyRoutes, func(route string) bool { return strings.HasPrefix(path, route) }) {
		return nil
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Keywatch-") {
			return nil
		}
	}
	return fmt.Errorf("%w: it has status %d and no Keywatch header", ErrNotKeywatch, r.Status)
}

func (r *Request) read() bool {
	return r.Method == "" || r.Method == http.MethodGet || r.Method == http.MethodHead
}

// withKey returns r with an idempotency key, if it needs one.
func (r *Request) withKey() *Request {
	if r.read() || r.Repeatable || r.IdempotencyKey != "" {
		return r
	}
	keyed := *r
	keyed.IdempotencyKey = rand.Text()
	return &keyed
}

// Open sends r once, to the endpoint that answered last, and returns a good
// answer with its body unread, which the caller closes. It fails with *Error
// or with an error of the connection, and is not tried again.
func (c *Client) Open(ctx context.Context, r *Request) (*http.Response, error) {
	return c.send(ctx, int(c.preferred.Load()), r)
}

// send sends r once to endpoint i and returns a good answer, and twice if the token was not
// accepted and Options.TokenSource has another. Errors are *Error, *lostError, *unreachableError, and
// those of TokenSource.
func (c *Client) send(ctx context.Context, i int, r *Request) (*http.Response, error) {
	resp, token, err := c.sendOnce(ctx, i, r)
	if c.opts.TokenSource == nil || token == "" || !errors.Is(err, ErrUnauthenticated) {
		return resp, err
	}
	c.tokens.forget(token)
	resp, _, err = c.sendOnce(ctx, i, r)
	return resp, err
}

// sendOnce is send for one attempt. It returns the token that was sent.
func (c *Client) sendOnce(ctx context.Context, i int, r *Request) (resp *http.Response, token string, err error) {
	var asked, connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := c.newRequest(traced, c.dir.all()[i], r)
	if err != nil {
		return nil, "", err
	}
	if token, err = c.authorize(req); err != nil {
		return nil, "", err
	}
	if resp, err = c.http.Do(req); err != nil {
		return nil, token, transportError(req.URL.Host, err, asked.Load() && !connected.Load())
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 || resp.StatusCode == http.StatusNotModified {
		return resp, token, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return nil, token, &lostError{fmt.Errorf("read the answer: %w", err)}
	}
	return nil, token, parseError(resp.StatusCode, resp.Header, body)
}

func (c *Client) newRequest(ctx context.Context, base string, r *Request) (*http.Request, error) {
	address := base + r.Path
	if len(r.Query) > 0 {
		address += "?" + r.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, address, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	for _, from := range []http.Header{c.opts.Header, r.Header} {
		for name, values := range from {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "keywatch-go")
	}
	if r.IdempotencyKey != "" {
		req.Header.Set("Idempotency-Key", r.IdempotencyKey)
	}
	return req, nil
}

// transportError tells a request that never left from one whose answer is lost.
// In doubt, as with a transport that does not say, it is lost.
func transportError(host string, err error, unsent bool) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var dial *net.OpError
	if unsent || errors.As(err, &dial) && dial.Op == "dial" {
		return &unreachableError{fmt.Errorf("cannot reach %s: %w", host, err)}
	}
	return &lostError{fmt.Errorf("no answer from %s: %w", host, err)}
}

// KeyPath returns the path of a key below base, such as "/v1/kv/", with
// everything escaped that needs it and the slashes kept.
func KeyPath(base, key string) string {
	segments := strings.Split(key, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return base + strings.Join(segments, "/")
}
