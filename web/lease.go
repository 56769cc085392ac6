package web

import (
	"bytes"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// The paths of leases and locks.
const (
	pathLeases      = "/v1/leases"
	prefixLease     = "/v1/leases/"
	prefixLock      = "/v1/locks/"
	suffixKeepalive = "/keepalive"
)

// matchLease returns the route of a path about a lease or a lock, and its name.
func matchLease(path []byte) (route, []byte) {
	if string(path) == pathLeases {
		return routeLeases, nil
	}
	one, keep := routeLease, routeLeaseKeep
	name, ok := bytes.CutPrefix(path, lend(prefixLease))
	if !ok {
		if name, ok = bytes.CutPrefix(path, lend(prefixLock)); !ok {
			return routeNone, nil
		}
		one, keep = routeLock, routeLockKeep
	}
	found := one
	if rest, ok := bytes.CutSuffix(name, lend(suffixKeepalive)); ok {
		name, found = rest, keep
	}
	if len(name) == 0 || bytes.IndexByte(name, '/') >= 0 {
		return routeNone, nil
	}
	return found, name
}

// readName decodes the name of a lease or lock, which later is in r.key.
func (r *request) readName(rest []byte) error {
	name, ok := unescape(nil, rest, false)
	if !ok {
		return api.Refuse(api.CodeBadKey, "the path has a malformed escape: expected %% and two hexadecimal digits")
	}
	r.key = string(name)
	if (r.route == routeLock || r.route == routeLockKeep) && !kv.LockName(r.key) {
		return api.Refuse(api.CodeBadKey, "%.80q is not a valid lock name", r.key)
	}
	return nil
}

// runLease answers the requests about leases.
func (r *request) runLease() error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch); err != nil {
		return err
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if r.route == routeLeases {
		return r.grantLease()
	}
	id, err := kv.ParseLeaseID(r.key)
	if err != nil {
		return api.LeaseNotFound(r.key)
	}
	switch {
	case r.route == routeLeaseKeep:
		return r.keepLease(id)
	case r.method == methodDelete:
		return r.revokeLease(id)
	}
	return r.showLease(id)
}

// grantLease answers POST of a new lease.
func (r *request) grantLease() error {
	c, err := r.write()
	if err != nil {
		return err
	}
	ttl, err := api.ParseLease(r.body())
	if err != nil {
		return err
	}
	c.Lease = &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.NewLeaseID(), TTL: ttl, Caller: r.accountName()}
	result, err := r.do(&c, 1)
	if err != nil {
		return err
	}
	r.f.Response.Header.Set("Location", prefixLease+result.Lease.ID.String())
	r.leaseJSON(result.Lease)
	r.json(201)
	return nil
}

// keepLease answers POST of a renewal.
func (r *request) keepLease(id kv.LeaseID) error {
	c, err := r.write()
	if err != nil {
		return err
	}
	if err := r.emptyBody(); err != nil {
		return err
	}
	c.Lease = &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}
	result, err := r.do(&c, 1)
	if err != nil {
		return err
	}
	r.leaseJSON(result.Lease)
	r.json(200)
	return nil
}

// emptyBody refuses a body that says anything.
func (r *request) emptyBody() error {
	body := bytes.TrimSpace(r.body())
	if len(body) == 0 || string(body) == "{}" {
		return nil
	}
	return api.Refuse(api.CodeBadJSON, "the body must be empty")
}

// leaseJSON puts what a lease is for into r.out.
func (r *request) leaseJSON(l *kv.LeaseInfo) {
	r.out = l.ID.AppendTo(append(r.out[:0], `{"id":"`...))
	r.out = kvjson.AppendNumber(append(r.out, `",`...), "ttl_ms", uint64(l.TTL))
	r.out = append(r.out, '}')
}

// revokeLease answers DELETE of a lease.
func (r *request) revokeLease(id kv.LeaseID) error {
	c, err := r.write()
	if err != nil {
		return err
	}
	c.Lease = &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: id}
	result, err := r.do(&c, 1)
	if err != nil {
		return err
	}
	r.out = kvjson.AppendNumber(append(r.out[:0], '{'), "deleted", uint64(result.Deleted))
	r.out = kvjson.AppendNumber(append(r.out, ','), "rev", uint64(result.Rev))
	r.out = append(r.out, '}')
	r.json(200)
	return nil
}

// showLease answers GET of a lease.
func (r *request) showLease(id kv.LeaseID) error {
	if err := r.unconditional(fieldIfFence); err != nil {
		return err
	}
	if err := r.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	info, ok, err := r.view().Lease(r.deadline(), id)
	if err != nil {
		return api.ReadError(err)
	}
	r.position(r.s.door.Position())
	if !ok {
		return api.LeaseNotFound(r.key)
	}
	r.leaseJSON(&info)
	r.out = kvjson.AppendNumber(append(r.out[:len(r.out)-1], ','), "remaining_ms", uint64(info.Remaining(r.s.door.Now())))
	r.out = kvjson.AppendNumber(append(r.out, ','), "keys", uint64(info.Keys))
	r.out = append(r.out, '}')
	r.json(200)
	return nil
}
