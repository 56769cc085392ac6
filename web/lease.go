package web

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"keywatch/kv"
	"keywatch/ratelimit"
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
		return refuse(CodeBadKey, "the path has a bad escape")
	}
	r.key = string(name)
	if (r.route == routeLock || r.route == routeLockKeep) && !kv.LockName(r.key) {
		return refuse(CodeBadKey, "%.80q is not the name of a lock", r.key)
	}
	return nil
}

// namedLease reads the lease that a write names. What is no name at all is that
// of no lease, like one that has ended.
func namedLease(text string) (kv.LeaseID, error) {
	id, err := kv.ParseLeaseID(text)
	if err != nil {
		return id, &failure{code: CodeLeaseEnded, detail: "the lease " + strconv.Quote(clip(text)) + " has ended, or never was"}
	}
	return id, nil
}

// clip bounds what a detail repeats of a request.
func clip(text string) string { return text[:min(len(text), 80)] }

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
		return leaseNotFound(r.key)
	}
	switch {
	case r.route == routeLeaseKeep:
		return r.keepLease(id)
	case r.method == methodDelete:
		return r.revokeLease(id)
	}
	return r.showLease(id)
}

func leaseNotFound(id string) error {
	return refuse(CodeLeaseNotFound, "the lease %q has ended, or never was", clip(id))
}

// grantLease answers POST of a new lease.
func (r *request) grantLease() error {
	c, err := r.write()
	if err != nil {
		return err
	}
	ttl, err := parseLease(r.body())
	if err != nil {
		return err
	}
	c.Lease = &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.NewLeaseID(), TTL: ttl, Caller: string(r.callerName())}
	result, err := r.do(&c, 1)
	if err != nil {
		return err
	}
	r.f.Response.Header.Set("Location", prefixLease+result.Lease.ID.String())
	r.leaseJSON(result.Lease)
	r.json(201)
	return nil
}

// parseLease reads the body of a request for a lease.
func parseLease(body []byte) (ttl time.Duration, err error) {
	s := scanner{b: body}
	var seen uint32
	s.open('{')
	for n := 0; s.more('}', n); n++ {
		if s.field([]string{"ttl"}, &seen) == 0 {
			ttl = s.givenTTL()
		}
	}
	if err := s.end(); err != nil {
		return 0, err
	}
	if seen == 0 {
		return 0, refuse(CodeBadJSON, "ttl is wanted")
	}
	return ttl, nil
}

// givenTTL reads a time to live that cannot be "keep".
func (s *scanner) givenTTL() time.Duration {
	ttl := s.ttl()
	if s.err == nil && ttl == kv.KeepTTL {
		s.failWith(refuse(CodeBadDuration, "a lease has a TTL of its own"))
	}
	return ttl
}

// keepLease answers POST of a renewal.
func (r *request) keepLease(id kv.LeaseID) error {
	c, err := r.write()
	if err != nil {
		return err
	}
	if err := r.noBody(); err != nil {
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

// noBody refuses a body that says anything.
func (r *request) noBody() error {
	body := bytes.TrimSpace(r.body())
	if len(body) == 0 || string(body) == "{}" {
		return nil
	}
	return refuse(CodeBadJSON, "nothing is wanted in the body")
}

// leaseJSON puts what a lease is for into r.out.
func (r *request) leaseJSON(l *kv.LeaseInfo) {
	r.out = l.ID.AppendTo(append(r.out[:0], `{"id":"`...))
	r.out = appendNumber(append(r.out, `",`...), "ttl_ms", uint64(l.TTL))
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
	r.out = appendNumber(append(r.out[:0], '{'), "deleted", uint64(result.Deleted))
	r.out = appendNumber(append(r.out, ','), "rev", uint64(result.Rev))
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
	store := r.s.opts.Store
	info, ok, err := store.Lease(r.patience(), id)
	if err != nil {
		return readError(err)
	}
	r.position(store.State().Position())
	if !ok {
		return leaseNotFound(r.key)
	}
	r.leaseJSON(&info)
	r.out = appendNumber(append(r.out[:len(r.out)-1], ','), "remaining_ms", uint64(info.Remaining(store.Now())))
	r.out = appendNumber(append(r.out, ','), "keys", uint64(info.Keys))
	r.out = append(r.out, '}')
	r.json(200)
	return nil
}

// leaseOutcome returns the failure that a result is answered with which has to do
// with leases or locks, nil if none.
func (r *request) leaseOutcome(c *kv.Command, result *kv.Result) error {
	params := r.s.opts.Store.State().Params()
	f := &failure{current: result.Current, noValue: result.CurrentNoValue}
	if c.Lock != nil {
		f.lock, f.key = strings.Clone(c.Lock.Name), kv.LockKey(c.Lock.Name)
	}
	switch result.Outcome {
	case kv.LeaseEnded:
		if c.Lease != nil {
			return leaseNotFound(r.key)
		}
		f.code, f.detail = CodeLeaseEnded, "a lease that is named has ended, or never was, and nothing was changed"
		f.index, f.hasIndex = result.Failed, r.route == routeBatch
	case kv.LeaseFull:
		return &failure{code: CodeMemoryFull, detail: "too many leases live", limit: params.LeaseMax, retry: idemRetry}
	case kv.LeaseCallerFull:
		return &failure{code: CodeRateLimited, detail: "this caller has too many leases", limit: params.LeasePerCaller, retry: idemRetry}
	case kv.LeaseKeysFull:
		return &failure{code: CodeBatchTooLarge, detail: "too many keys would hang on one lease", limit: params.LeaseKeys, index: result.Failed, hasIndex: r.route == routeBatch}
	case kv.LockHeld:
		f.code, f.detail = CodeLockHeld, "the lock is held, and was not got in time"
	case kv.LockLost:
		f.code, f.detail = CodeLockLost, "the lock is not held any more under this token, or by this request"
	case kv.LockFree:
		return refuse(CodeLockNotHeld, "nobody holds the lock %s", c.Lock.Name)
	default:
		return nil
	}
	return f
}
