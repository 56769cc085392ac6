package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"keywatch/ratelimit"
)

// Options say whose tokens are accepted.
type Options struct {
	// Source is a file with a JSON Web Key Set or with public keys in PEM, or the URL of a JSON Web Key Set:
	// https, or http of this machine.
	Source string
	// Issuer and Audience are what a token must name in iss and aud. All three are required.
	Issuer, Audience string
	// UserClaim names the user, RolesClaim roles of this store; sub and roles by default.
	UserClaim, RolesClaim string
	// Failures bounds the wrong signatures of one address, or one /64 of IPv6; 10 at once and then one in 2 s
	// by default.
	Failures ratelimit.Rate
	// Changed, if not nil, is called with the ids of all keys whenever they have changed, before they are used.
	Changed func(ids []string)
	// Logger is told of changes and failures; nil discards them.
	Logger *slog.Logger
	// Now returns the wall time by which tokens and the age of keys are judged; time.Now by default.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.UserClaim == "" {
		o.UserClaim = "sub"
	}
	if o.RolesClaim == "" {
		o.RolesClaim = "roles"
	}
	if o.Failures == (ratelimit.Rate{}) {
		o.Failures = ratelimit.Rate{PerSecond: 0.5, Burst: 10}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// IsURL reports whether a source is a URL, not a file.
func IsURL(source string) bool { return strings.Contains(source, "://") }

// CheckSource returns an error if keys cannot be read from a source, as far as that is known without reading.
func CheckSource(source string) error {
	if !IsURL(source) {
		return nil
	}
	u, err := url.Parse(source)
	switch {
	case err != nil:
		return errors.New("malformed URL")
	case u.User != nil:
		return errors.New("a password in the URL is not supported")
	case u.Host == "" || u.Fragment != "":
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("expected a file or an https URL; http is for this machine only, as another one could put keys of its own into the answer")
}

// Check returns an error if a file has no keys that can be used. It asks no URL.
func Check(source string) error {
	if IsURL(source) {
		return nil
	}
	b, err := readFile(source)
	if err == nil {
		_, err = parseSet(b, true)
	}
	return err
}

// readFile returns what a file has: at most one byte more than setMax.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, setMax+1))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// urlTimeout bounds one request for keys, from the first packet to the last byte.
const urlTimeout = 10 * time.Second

// newClient returns the client that keys are asked for with. It follows no redirect, and keeps no connection.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       urlTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		},
	}
}

// fetch returns what the source has: at most one byte more than setMax.
func (k *Keys) fetch(ctx context.Context) ([]byte, error) {
	if !IsURL(k.opts.Source) {
		return readFile(k.opts.Source)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.opts.Source, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d: expected 200; redirects are not followed", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, setMax+1))
}
