package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// LeaseInfo is what the server says of a lease.
type LeaseInfo struct {
	ID LeaseID
	// TTL is how long the lease lives without a keepalive, counted from when
	// the request was sent.
	TTL time.Duration
	// Raw is the whole answer, as JSON.
	Raw json.RawMessage
}

func (i *LeaseInfo) UnmarshalJSON(b []byte) error {
	var doc struct {
		ID  LeaseID `json:"id"`
		TTL int64   `json:"ttl_ms"`
	}
	err := json.Unmarshal(b, &doc)
	*i = LeaseInfo{ID: doc.ID, TTL: time.Duration(doc.TTL) * time.Millisecond, Raw: append([]byte(nil), b...)}
	return err
}

func leasePath(id LeaseID) string { return "/v1/leases/" + url.PathEscape(string(id)) }

// GrantLease asks for a lease that ends after ttl unless it is kept alive. See
// Grant for one that is.
func (c *Client) GrantLease(ctx context.Context, ttl time.Duration) (LeaseInfo, error) {
	info, _, err := c.grantLease(ctx, ttl)
	return info, err
}

// grantLease also returns when the lease began at the earliest.
func (c *Client) grantLease(ctx context.Context, ttl time.Duration) (info LeaseInfo, sent time.Time, err error) {
	body := fmt.Appendf(nil, `{"ttl":%q}`, durationText(ttl))
	resp, err := c.Do(ctx, &Request{Method: http.MethodPost, Path: "/v1/leases", Header: jsonBody, Body: body})
	if err != nil {
		return info, sent, err
	}
	if err = decode(resp.Body, &info); err == nil && (info.ID == "" || info.TTL <= 0) {
		err = fmt.Errorf("client: %w: it has no lease", ErrNotKeywatch)
	}
	return info, resp.Sent, err
}

// jsonBody is the header of a request with a JSON body. It must not be changed.
var jsonBody = http.Header{"Content-Type": {"application/json"}}

// KeepLeaseAlive renews a lease once. It fails with an error that matches
// ErrLeaseEnded if there is none.
func (c *Client) KeepLeaseAlive(ctx context.Context, id LeaseID) (LeaseInfo, error) {
	return c.leaseInfo(ctx, id, &Request{
		Method: http.MethodPost, Path: leasePath(id) + "/keepalive", Repeatable: true,
	})
}

// LeaseInfo returns what the server says of a lease. It fails with an error
// that matches ErrLeaseEnded if there is none.
func (c *Client) LeaseInfo(ctx context.Context, id LeaseID) (LeaseInfo, error) {
	return c.leaseInfo(ctx, id, &Request{Path: leasePath(id)})
}

func (c *Client) leaseInfo(ctx context.Context, id LeaseID, r *Request) (LeaseInfo, error) {
	info := LeaseInfo{ID: id}
	resp, err := c.Do(ctx, r)
	if err == nil && len(resp.Body) > 0 {
		err = decode(resp.Body, &info)
		info.ID = id
	}
	return info, err
}

// RevokeLease ends a lease; its keys are deleted in one revision. It fails with
// an error that matches ErrLeaseEnded if there is none.
// It takes IfFence and IdempotencyKey.
func (c *Client) RevokeLease(ctx context.Context, id LeaseID, opts ...WriteOption) error {
	_, err := c.Do(ctx, newWrite(opts).apply(&Request{Method: http.MethodDelete, Path: leasePath(id), Header: http.Header{}}))
	return err
}

// A Lease is a lease that is kept alive in the background. Revoke or Close it.
type Lease struct {
	c  *Client
	id LeaseID
	k  keeper
}

// Grant asks for a lease and keeps it alive, each third of ttl. Keys are hung on
// it with OnLease.
func (c *Client) Grant(ctx context.Context, ttl time.Duration) (*Lease, error) {
	info, sent, err := c.grantLease(ctx, ttl)
	if err != nil {
		return nil, err
	}
	return c.keepLease(info, sent), nil
}

// KeepLease keeps alive a lease that another client was granted. It fails with an
// error that matches ErrLeaseEnded if there is none.
func (c *Client) KeepLease(ctx context.Context, id LeaseID) (*Lease, error) {
	sent := time.Now() // an answer to a later attempt only counts from later
	info, err := c.KeepLeaseAlive(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.keepLease(info, sent), nil
}

func (c *Client) keepLease(info LeaseInfo, sent time.Time) *Lease {
	l := &Lease{c: c, id: info.ID}
	request := &Request{Method: http.MethodPost, Path: leasePath(l.id) + "/keepalive", Repeatable: true}
	l.k = keeper{
		end:  ErrLeaseEnded,
		over: func(err error) bool { return errors.Is(err, ErrLeaseEnded) },
		renew: func(ctx context.Context) (time.Duration, error) {
			renewed := LeaseInfo{TTL: info.TTL}
			err := c.attempt(ctx, request, &renewed)
			return renewed.TTL, err
		},
	}
	l.k.extend(info.TTL, sent)
	l.k.keep()
	return l
}

// ID returns the lease's name, for OnLease.
func (l *Lease) ID() LeaseID { return l.id }

// Done is closed the moment that the lease can no longer be trusted to live.
func (l *Lease) Done() <-chan struct{} { return l.k.done }

// Err returns why the lease is over, nil while it lives: an error that matches
// ErrLeaseEnded, or ErrReleased.
func (l *Lease) Err() error { return l.k.err() }

// Close keeps the lease alive no longer, without ending it: it expires
// after its time to live. It may be called twice.
func (l *Lease) Close() { l.k.release() }

// Revoke ends the lease; its keys are deleted in one revision. It fails with an
// error that matches ErrLeaseEnded if it had ended before.
func (l *Lease) Revoke(ctx context.Context) error {
	l.k.release()
	return l.c.RevokeLease(ctx, l.id)
}
