package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
)

var (
	// ErrUnauthenticated matches a request without a credential, or with one that is not accepted.
	ErrUnauthenticated = errors.New("the credential is missing or not accepted")
	// ErrForbidden matches a request that the credential does not permit.
	ErrForbidden = errors.New("not permitted")
)

// A TokenSource returns the text of an API key, a session or a JSON Web Token. It is asked before the first request,
// and again when a server does not accept what it returned. It is called by one goroutine at a time.
type TokenSource func(ctx context.Context) (string, error)

// tokens holds what a TokenSource returned last.
type tokens struct {
	mu    sync.Mutex
	token string
	known bool
}

// take returns the token, and asks source for one if there is none that is still accepted.
func (t *tokens) take(ctx context.Context, source TokenSource) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known {
		return t.token, nil
	}
	token, err := source(ctx)
	if err != nil {
		return "", fmt.Errorf("get a token: %w", err)
	}
	t.token, t.known = token, true
	return token, nil
}

// last returns the token that was returned last.
func (t *tokens) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token
}

// forget has the next request ask for a token again, if token is still the last.
func (t *tokens) forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token, t.known = "", false
	}
}

// authorize adds the client's token to a request.
func (c *Client) authorize(req *http.Request) (token string, err error) {
	if c.opts.Token == "" && c.opts.TokenSource == nil {
		return "", nil
	}
	if !c.opts.Plaintext && !private(req.URL) {
		return "", fmt.Errorf("client: %s is another machine, which a token over http is not sent to: use https, or Options.Plaintext", req.URL.Host)
	}
	if token = c.opts.Token; c.opts.TokenSource != nil {
		if token, err = c.tokens.take(req.Context(), c.opts.TokenSource); err != nil {
			return "", err
		}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return token, nil
}

// private reports whether no one can read along on the way to u.
func private(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
