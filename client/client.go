package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultEndpoint is where a server listens that was told nothing else.
const DefaultEndpoint = "http://127.0.0.1:7070"

// Options configure a Client. The zero value of each field is its default.
type Options struct {
	// Endpoints are the addresses of the servers, http or https URLs or
	// host:port, all of one cluster; DefaultEndpoint. The first that answers is
	// used until it fails. What the cluster says of other members is learned, and used once it
	// has answered; these are never forgotten.
	Endpoints []string
	// Fixed uses no other endpoints than these.
	Fixed bool
	// Header is sent with every request.
	Header http.Header
	// Token is the text of an API key, a session or a JSON Web Token, which is sent with every request. TokenSource, if
	// not nil, returns it instead.
	Token       string
	TokenSource TokenSource
	// Plaintext sends the token over http to other machines too, where everyone on the way can read it.
	Plaintext bool
	// Patience is how long a request is tried if its context has no deadline;
	// 30 s.
	Patience time.Duration
	// Attempt is how long one attempt may take before the request is sent
	// again; 15 s. A server gives up after 10.
	Attempt time.Duration
	// FailFast makes a request fail at once if no endpoint takes a connection
	// and none has taken this request before. A command wants that; a service
	// rather waits.
	FailFast bool
	// TLS configures connections to https endpoints, such as RootCAs for an authority of one's own, or
	// Certificates for a server that asks for one; see PinnedTLS. By default the authorities of the
	// system are accepted. It is not changed.
	TLS *tls.Config
	// HTTP sends the requests; by default a client of its own with a pool of
	// connections that are kept open. It must not follow redirects or have a
	// Timeout, which would end watches. It cannot be combined with TLS.
	HTTP *http.Client
}

// A Client sends requests to a keywatch server or cluster. It is safe for
// concurrent use. Close it after what was made from it.
type Client struct {
	opts Options
	dir  directory // of the endpoints, without a slash at the end
	http *http.Client
	own  *http.Transport // nil if the caller brought the client
	// tokens is what Options.TokenSource returned.
	tokens tokens

	// preferred is the index of the endpoint that answered last.
	preferred atomic.Uint32

	// released counts the goroutines that give unwanted locks back.
	released sync.WaitGroup
}

// New returns a client. It connects to nothing yet. It fails if an endpoint is
// not an address, a duration is negative, or both TLS and HTTP are given.
func New(opts Options) (*Client, error) {
	c := &Client{opts: opts.withDefaults()}
	if c.opts.Patience < 0 || c.opts.Attempt < 0 {
		return nil, errors.New("client: a duration is negative")
	}
	if opts.TLS != nil && opts.HTTP != nil {
		return nil, errors.New("client: TLS and HTTP exclude each other")
	}
	var seeds []string
	for _, text := range c.opts.Endpoints {
		base, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		seeds = append(seeds, base)
	}
	c.dir.init(seeds)
	c.http = c.opts.HTTP
	if c.http == nil {
		c.own = newTransport(opts.TLS)
		c.http = &http.Client{Transport: c.own, CheckRedirect: noRedirect}
	}
	return c, nil
}

// Close closes idle connections and waits until locks that were got too late
// are given back, a few seconds at most. It may be called twice. Held locks,
// leases and mirrors are closed by those who made them, before.
func (c *Client) Close() {
	c.dir.close()
	c.released.Wait()
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

func (o Options) withDefaults() Options {
	if len(o.Endpoints) == 0 {
		o.Endpoints = []string{DefaultEndpoint}
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Attempt == 0 {
		o.Attempt = 15 * time.Second
	}
	return o
}

// parseEndpoint returns the URL that paths are appended to.
func parseEndpoint(text string) (string, error) {
	address := text
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("client: endpoint %q is not an http or https address", text)
	}
	return strings.TrimSuffix(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), nil
}

// newTransport returns a transport with a pool that suits one server. config, if not nil, is for
// connections over TLS.
func newTransport(config *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if config != nil {
		t.TLSClientConfig = config.Clone()
	}
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 64
	t.DisableCompression = true // a value is bytes, and an ETag is of those bytes
	return t
}

// noRedirect shows a redirect as what it is: an answer that no keywatch gives.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
