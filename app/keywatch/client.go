package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	kw "keywatch/client"
)

// client talks to one server, or to the next of a list while it fails.
type client struct {
	base    *url.URL
	kw      *kw.Client
	timeout time.Duration
}

// A clientToken is the credential of a client. overHTTP sends it over http to other machines too.
type clientToken struct {
	text     string
	overHTTP bool
}

// newClient returns a client of --server, with the credential that the flags or the environment name.
func (s *session) newClient() (*client, error) {
	c, err := newClient(s.cli.Server, s.cli.Timeout, clientToken{})
	if err != nil {
		return nil, err
	}
	text, err := s.cli.token(c.base)
	if err != nil || text == "" {
		return c, err
	}
	c.kw.Close()
	return newClient(s.cli.Server, s.cli.Timeout, clientToken{text, s.cli.TokenOverHTTP})
}

// newClient returns a client of the server at address, a URL or host:port, or of several, with commas
// between.
func newClient(address string, timeout time.Duration, token clientToken) (*client, error) {
	var all []string
	for _, text := range strings.Split(address, ",") {
		if text = strings.TrimSpace(text); text != "" && !strings.Contains(text, "://") {
			text = "http://" + text
		}
		all = append(all, text)
	}
	base, err := url.Parse(all[0])
	if err != nil {
		return nil, usagef("--server: %q is not an http or https address", address)
	}
	if timeout <= 0 {
		return nil, usagef("--timeout must be more than 0")
	}
	c, err := kw.New(kw.Options{
		Endpoints: all, Fixed: len(all) > 1, Patience: timeout, Attempt: timeout, FailFast: true,
		Header: http.Header{"User-Agent": {"keywatch"}},
		Token:  token.text, Plaintext: token.overHTTP,
	})
	if err != nil || base.Host == "" {
		return nil, usagef("--server: %q is not an http or https address", address)
	}
	return &client{base: base, kw: c, timeout: timeout}, nil
}

// decode reads the JSON of a good answer.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("cannot read the answer: %w: %w", kw.ErrNotKeywatch, err)
	}
	return nil
}

// work has the server do something that can take long, and waits until it is done.
func (s *session) work(path string) error {
	r := &kw.Request{Method: http.MethodPost, Path: path}
	resp, err := s.kw.Open(s.ctx, r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sleep waits and reports whether ctx still lasts.
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
