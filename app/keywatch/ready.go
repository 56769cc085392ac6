package main

import (
	"context"
	"net/url"

	kw "keywatch/client"
)

// readyCmd asks whether the server serves requests.
type readyCmd struct {
	Leader bool `help:"Only if it leads, too: the server that orders the writes."`
}

// Help is printed by keywatch ready --help.
func (*readyCmd) Help() string {
	return `
Sends one request and does not try again. It exits with 0 if the server serves requests,
and with 1 if it is not reached, starts, or stops. It is the health check of an image that
has no shell; --timeout bounds it. The server answers it at --listen and at --ops-listen.

Examples:

    keywatch ready
    keywatch ready --timeout=1s --server=http://127.0.0.1:7071
    keywatch ready --leader
`
}

// Run sends the one request.
func (c *readyCmd) Run(s *session) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.client.timeout)
	defer cancel()
	r := &kw.Request{Path: "/readyz"}
	if c.Leader {
		r.Query = url.Values{"leader": {"1"}}
	}
	resp, err := s.kw.Open(ctx, r)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if s.json() {
		return s.printValue(map[string]bool{"ready": true})
	}
	return s.printf("ready\n")
}
