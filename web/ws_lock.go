package web

import (
	"context"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/kv/lock"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// maxSocketWaits bounds the commands of all sockets that wait for locks.
const maxSocketWaits = 10_000

// A lockCommand is what a command about a lock says.
type lockCommand struct {
	name, owner string
	wait        time.Duration
	token       uint64
}

func (c *socketCommand) readLock(s *api.Scanner, field api.FieldSet) {
	k := &c.lock
	switch field {
	case hasLock:
		k.name = s.Text().String()
		if s.Err() == nil && !kv.LockName(k.name) {
			s.FailWith(api.Refuse(api.CodeBadKey, "%.80q is not the name of a lock", k.name))
		}
	case hasOwner:
		k.owner = s.Text().String()
		s.FailWith(api.CheckOwner(k.owner))
	case hasWait:
		k.wait = s.Wait()
	case hasToken:
		if k.token = s.Uint(); s.Err() == nil && k.token == 0 {
			s.Fail("a token is a number from 1 on")
		}
	case hasForce:
		if !s.Bool() && s.Err() == nil {
			s.Fail("force is true or not there")
		}
	}
}

// callerName returns for whom commands count.
func (l *lane) callerName() string { return string(l.s.caller.appendTo(nil)) }

func (l *lane) grant(c *socketCommand) error {
	if c.ttl == kv.KeepTTL {
		return api.Refuse(api.CodeBadDuration, "a lease has a TTL of its own")
	}
	c.cmd.Lease = &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.NewLeaseID(), TTL: c.ttl, Caller: l.callerName()}
	return l.write(c, 1, (*lane).didGrant)
}

func (l *lane) didGrant(id uint64, c *kv.Command, r *kv.Result) error {
	b := r.Lease.ID.AppendTo(append(l.begin(id), `,"lease":"`...))
	b = kvjson.AppendNumber(append(b, `",`...), "ttl_ms", uint64(r.Lease.TTL))
	l.end(l.durability(b, r))
	return nil
}

// leaseID reads the lease that a command is about.
func (c *socketCommand) leaseID() (kv.LeaseID, error) {
	text := c.lease.String()
	id, err := kv.ParseLeaseID(text)
	if err != nil {
		return id, api.LeaseNotFound(text)
	}
	return id, nil
}

// keep renews a lease, or that of a lock.
func (l *lane) keep(c *socketCommand) error {
	switch {
	case c.has(hasLease) && !c.has(hasLock|hasToken):
		id, err := c.leaseID()
		if err != nil {
			return err
		}
		c.cmd.Lease = &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}
		return l.write(c, 1, (*lane).didGrant)
	case c.has(hasLock) && c.has(hasToken) && !c.has(hasLease):
		c.cmd.Lock = &kv.LockCommand{Kind: kv.LockKeep, Name: c.lock.name, Token: kv.Rev(c.lock.token)}
		return l.write(c, 1, (*lane).didLock)
	}
	return api.Refuse(api.CodeBadJSON, "keepalive wants lease, or lock and token")
}

func (l *lane) revoke(c *socketCommand) error {
	id, err := c.leaseID()
	if err != nil {
		return err
	}
	c.cmd.Lease = &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: id}
	return l.write(c, 1, (*lane).didDeletePrefix)
}

func (l *lane) didLock(id uint64, c *kv.Command, r *kv.Result) error {
	b := kvjson.AppendNumber(append(l.begin(id), ','), "token", uint64(r.Lease.Token))
	b = r.Lease.ID.AppendTo(append(b, `,"lease":"`...))
	b = kvjson.AppendNumber(append(b, `",`...), "ttl_ms", uint64(r.Lease.Remaining(r.Time)))
	l.end(l.durability(b, r))
	return nil
}

func (l *lane) unlock(c *socketCommand) error {
	if c.has(hasToken) == c.has(hasForce) {
		return api.Refuse(api.CodeBadJSON, "unlock wants one of token and force")
	}
	k := &kv.LockCommand{Kind: kv.LockRelease, Name: c.lock.name, Token: kv.Rev(c.lock.token)}
	if c.has(hasForce) {
		k.Kind = kv.LockBreak
	}
	c.cmd.Lock = k
	return l.write(c, 1, func(l *lane, id uint64, _ *kv.Command, r *kv.Result) error {
		l.end(l.durability(l.begin(id), r))
		return nil
	})
}

// lock asks for a lock on a goroutine of its own, because that may take long. A
// socket that closes loses its places; a lock that it is granted too late is
// given back, unless the command may be repeated.
func (l *lane) lock(c *socketCommand) error {
	if c.ttl == kv.KeepTTL {
		return api.Refuse(api.CodeBadDuration, "a lock has a TTL of its own")
	}
	if err := l.identify(c); err != nil {
		return err
	}
	if err := l.charge(ratelimit.Write, 1); err != nil {
		return err
	}
	sockets := l.s.server.sockets
	if sockets.lockWaits.Add(1) > maxSocketWaits {
		sockets.lockWaits.Add(-1)
		return &api.Failure{Code: api.CodeQueueFull, Detail: "too many commands wait for locks", Limit: maxSocketWaits}
	}
	q := lock.Request{
		Name: c.lock.name, TTL: c.ttl, Wait: c.lock.wait, Owner: c.lock.owner,
		Caller: l.callerName(), Idem: c.cmd.Idem, Fences: c.cmd.Fences,
	}
	own := &lane{s: l.s}
	ctx := l.s.waits()
	sockets.lanes.Go(func() {
		defer sockets.lockWaits.Add(-1)
		var granted kv.LeaseID
		own.guard(&c.id, func() (err error) {
			granted, err = own.acquire(ctx, c.id, q)
			return err
		})
		if !own.handOver() && granted != (kv.LeaseID{}) && q.Idem.Key == "" {
			own.giveBack(granted)
		}
	})
	return nil
}

// acquire waits for a lock and answers. It returns the lease of the lock that it
// got.
func (l *lane) acquire(ctx context.Context, id uint64, q lock.Request) (granted kv.LeaseID, err error) {
	result, err := lock.Acquire(ctx, l.s.server.opts.Store, q)
	if err != nil {
		if ctx.Err() != nil && q.Idem.Key == "" {
			err = kv.ErrStopping // its place was given up
		}
		return granted, err
	}
	c := kv.Command{Fences: q.Fences, Lock: &kv.LockCommand{Kind: kv.LockAcquire, Name: q.Name}}
	if err := api.Outcome(&c, &result, l.s.server.opts.Store.State().Params, false); err != nil {
		return granted, err
	}
	return result.Lease.ID, l.didLock(id, &c, &result)
}

// giveBack ends the lease of a lock whose holder does not know that it has it. If
// that fails it runs out.
func (l *lane) giveBack(id kv.LeaseID) {
	server := l.s.server
	ctx, cancel := context.WithTimeout(server.life, placeTimeout)
	defer cancel()
	_, _ = server.opts.Store.Revoke(ctx, id, kv.Idem{})
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

// handOver hands over what a lane of its own has to say. It returns false if
// nobody will be told.
func (l *lane) handOver() bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.flushLocked(l.s.workLocked())
	return !l.s.gone.Load()
}
