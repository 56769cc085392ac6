package ws

import (
	"context"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/kv/lock"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

const (
	// lockWaitCost is about what a command takes in memory that waits for a lock, beside
	// its text: a goroutine, timers, a place in the server's lists.
	lockWaitCost = 12 << 10
	// revokeTimeout bounds giving back a lock that no client was told of.
	revokeTimeout = 10 * time.Second
)

// A lockCommand is what a command about a lock says.
type lockCommand struct {
	name, owner string
	wait        time.Duration
	token       uint64
}

func (c *command) readLock(s *api.Scanner, field api.FieldSet) {
	k := &c.lock
	switch field {
	case hasLock:
		k.name = s.Text().String()
		if s.Err() == nil && !kv.LockName(k.name) {
			s.FailWith(api.Refuse(api.CodeBadKey, "%.80q is not a valid lock name", k.name))
		}
	case hasOwner:
		k.owner = s.Text().String()
		s.FailWith(api.CheckOwner(k.owner))
	case hasWait:
		k.wait = s.Wait()
	case hasToken:
		if s.Peek() == '"' { // that of auth
			c.secret = s.Text().String()
			return
		}
		if k.token = s.Uint(); s.Err() == nil && k.token == 0 {
			s.Fail("a token is a number from 1 on")
		}
	case hasForce:
		if !s.Bool() && s.Err() == nil {
			s.Fail("force is true or not there")
		}
	}
}

// callerName returns for whom leases and idempotency keys count: the user or, for callers without
// a credential, the address.
func (r *runner) callerName() string {
	if user := r.s.view().User(); user != "" {
		return user
	}
	return string(r.s.caller.appendTo(nil))
}

func (r *runner) grant(c *command) error {
	if c.ttl == kv.KeepTTL {
		return api.Refuse(api.CodeBadDuration, "the ttl of a lease must be a duration, not keep")
	}
	c.cmd.Lease = &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.NewLeaseID(), TTL: c.ttl, Caller: r.callerName()}
	return r.write(c, 1, (*runner).didGrant)
}

func (r *runner) didGrant(id uint64, c *kv.Command, result *kv.Result) error {
	b := result.Lease.ID.AppendTo(append(r.begin(id), `,"lease":"`...))
	b = kvjson.AppendNumber(append(b, `",`...), "ttl_ms", uint64(result.Lease.TTL))
	r.end(r.durability(b, result))
	return nil
}

// leaseID reads the lease that a command is about.
func (c *command) leaseID() (kv.LeaseID, error) {
	text := c.lease.String()
	id, err := kv.ParseLeaseID(text)
	if err != nil {
		return id, api.LeaseNotFound(text)
	}
	return id, nil
}

// keep renews a lease, or that of a lock.
func (r *runner) keep(c *command) error {
	switch {
	case c.has(hasLease) && !c.has(hasLock|hasToken):
		id, err := c.leaseID()
		if err != nil {
			return err
		}
		c.cmd.Lease = &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}
		return r.write(c, 1, (*runner).didGrant)
	case c.has(hasLock) && c.has(hasToken) && !c.has(hasLease):
		c.cmd.Lock = &kv.LockCommand{Kind: kv.LockKeep, Name: c.lock.name, Token: kv.Rev(c.lock.token)}
		return r.write(c, 1, (*runner).didLock)
	}
	return api.Refuse(api.CodeBadJSON, "keepalive requires lease, or lock and token")
}

func (r *runner) revoke(c *command) error {
	id, err := c.leaseID()
	if err != nil {
		return err
	}
	c.cmd.Lease = &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: id}
	return r.write(c, 1, (*runner).didDeletePrefix)
}

func (r *runner) didLock(id uint64, c *kv.Command, result *kv.Result) error {
	b := kvjson.AppendNumber(append(r.begin(id), ','), "token", uint64(result.Lease.Token))
	b = result.Lease.ID.AppendTo(append(b, `,"lease":"`...))
	b = kvjson.AppendNumber(append(b, `",`...), "ttl_ms", uint64(result.Lease.Remaining(result.Time)))
	r.end(r.durability(b, result))
	return nil
}

func (r *runner) unlock(c *command) error {
	if c.has(hasToken) == c.has(hasForce) {
		return api.Refuse(api.CodeBadJSON, "unlock requires one of token and force")
	}
	k := &kv.LockCommand{Kind: kv.LockRelease, Name: c.lock.name, Token: kv.Rev(c.lock.token)}
	if c.has(hasForce) {
		k.Kind = kv.LockBreak
	}
	c.cmd.Lock = k
	return r.write(c, 1, func(r *runner, id uint64, _ *kv.Command, result *kv.Result) error {
		r.end(r.durability(r.begin(id), result))
		return nil
	})
}

// lock asks for a lock on a goroutine of its own, because that may take long. A
// socket that closes loses its places; a lock that it is granted too late is
// given back, unless the command may be repeated.
func (r *runner) lock(c *command) error {
	if c.ttl == kv.KeepTTL {
		return api.Refuse(api.CodeBadDuration, "the ttl of a lock must be a duration, not keep")
	}
	if err := r.identify(c); err != nil {
		return err
	}
	if err := r.charge(ratelimit.Write, 1); err != nil {
		return err
	}
	done, err := r.s.beginLockWait(lockWaitCost + len(c.text))
	if err != nil {
		return err
	}
	q := lock.Request{
		Name: c.lock.name, TTL: c.ttl, Wait: c.lock.wait, Owner: c.lock.owner,
		Caller: r.callerName(), Idem: c.cmd.Idem, Fences: c.cmd.Fences,
	}
	own := &runner{s: r.s}
	ctx := r.s.waits()
	r.s.server.running.Go(func() {
		defer done()
		var granted kv.LeaseID
		own.guard(&c.id, func() (err error) {
			granted, err = own.acquire(ctx, c.id, q)
			return own.noted(c, err)
		})
		if !own.handOver() && granted != (kv.LeaseID{}) && q.Idem.Key == "" {
			own.giveBack(granted)
		}
	})
	return nil
}

// beginLockWait charges a command that takes size bytes, until done is called. It fails
// with a *ratelimit.FullError.
func (s *session) beginLockWait(size int) (done func(), err error) {
	if err := s.hold.Grow(ratelimit.Waits, int64(size)); err != nil {
		return nil, err
	}
	s.server.lockWaits.Add(1)
	return func() {
		s.server.lockWaits.Add(-1)
		s.hold.Shrink(ratelimit.Waits, int64(size))
	}, nil
}

// acquire waits for a lock and answers. It returns the lease of the lock that it
// got.
func (r *runner) acquire(ctx context.Context, id uint64, q lock.Request) (granted kv.LeaseID, err error) {
	result, err := r.s.view().Acquire(ctx, q)
	if err != nil {
		if ctx.Err() != nil && q.Idem.Key == "" {
			err = kv.ErrStopping // its place was given up
		}
		return granted, err
	}
	c := kv.Command{Fences: q.Fences, Lock: &kv.LockCommand{Kind: kv.LockAcquire, Name: q.Name}}
	if err := api.Outcome(&c, &result, r.s.server.opts.Door.Params, false); err != nil {
		return granted, err
	}
	return result.Lease.ID, r.didLock(id, &c, &result)
}

// giveBack ends the lease of a lock whose holder does not know that it has it. If
// that fails it runs out.
func (r *runner) giveBack(id kv.LeaseID) {
	server := r.s.server
	ctx, cancel := context.WithTimeout(server.life, revokeTimeout)
	defer cancel()
	_, _ = server.opts.Door.Server().Revoke(ctx, id, kv.Idem{})
}

// waits returns a context that ends when the session does, or the server stops.
func (s *session) waits() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	if k.waits == nil {
		k.waits, k.stop = context.WithCancel(s.server.draining)
	}
	if s.gone.Load() {
		k.stop()
	}
	return k.waits
}

// handOver hands over what a runner of its own has to say. It returns false if
// the client will not be told.
func (r *runner) handOver() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.flushLocked(r.s.workLocked())
	return !r.s.gone.Load()
}
