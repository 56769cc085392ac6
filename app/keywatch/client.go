package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
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

// A clientProof is what a client and its server prove to each other.
type clientProof struct {
	token string
	// overHTTP sends the token over http to other machines too.
	overHTTP bool
	// tls is for connections over https, nil for the authorities of the system.
	tls *tls.Config
}

// newClient returns a client of --server, with the credential and the fingerprint that the flags, the
// environment or a login name.
func (s *session) newClient() (*client, error) {
	_, base, err := serverURLs(s.cli.Server)
	if err != nil {
		return nil, err
	}
	// Without a login nothing is missed where the flags say all.
	stored, err := loginFor(base)
	if err != nil && s.cli.TokenFile == "" && os.Getenv("KEYWATCH_TOKEN") == "" {
		return nil, err
	}
	proof := clientProof{overHTTP: s.cli.TokenOverHTTP}
	if proof.token, err = s.cli.token(stored); err != nil {
		return nil, err
	}
	if proof.tls, err = s.cli.config(stored.Fingerprint); err != nil {
		return nil, err
	}
	return newClient(s.cli.Server, s.cli.Timeout, proof)
}

// serverURLs returns the URLs in --server, a URL or host:port, or several with commas between, and the
// first of them, under which logins are stored.
func serverURLs(address string) (all []string, base *url.URL, err error) {
	for _, text := range strings.Split(address, ",") {
		if text = strings.TrimSpace(text); text != "" && !strings.Contains(text, "://") {
			text = "http://" + text
		}
		all = append(all, text)
	}
	base, err = url.Parse(all[0])
	if err != nil || base.Host == "" {
		return nil, nil, usagef("--server: %q is not an http or https address", address)
	}
	return all, base, nil
}

// newClient returns a client of the servers at address, as in --server.
func newClient(address string, timeout time.Duration, proof clientProof) (*client, error) {
	all, base, err := serverURLs(address)
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		return nil, usagef("--timeout must be more than 0")
	}
	c, err := kw.New(kw.Options{
		Endpoints: all, Fixed: len(all) > 1, Patience: timeout, Attempt: timeout, FailFast: true,
		Header: http.Header{"User-Agent": {"keywatch"}},
		Token:  proof.token, Plaintext: proof.overHTTP, TLS: proof.tls,
	})
	if err != nil {
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
