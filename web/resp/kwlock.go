package resp

import (
	"context"
	"strings"
	"time"

	"keywatch/kv"
	"keywatch/kv/lock"
	"keywatch/web/api"
	"keywatch/web/resp/wire"
)

func runLock(c *call) ([]byte, error) {
	q := lock.Request{Name: string(c.args[1]), Caller: c.s.account()}
	if !kv.LockName(q.Name) {
		return nil, refusal("ERR bad name of a lock")
	}
	var err error
	if q.TTL, err = c.ttlArg(2); err != nil {
		return nil, err
	}
	for i := 3; i < len(c.args); i += 2 {
		if i+1 == len(c.args) {
			return nil, errSyntax
		}
		switch upper(c.args[i]) {
		case "WAIT":
			n, err := c.integer(i + 1)
			if err != nil || n < 0 || n > api.MaxWait.Milliseconds() {
				return nil, refusef("ERR a wait must be 0 to %d ms", api.MaxWait.Milliseconds())
			}
			q.Wait = time.Duration(n) * time.Millisecond
		case "OWNER":
			q.Owner = string(c.args[i+1])
		default:
			return nil, errSyntax
		}
	}
	ctx, cancel := context.WithCancel(c.v.life)
	defer cancel()
	if q.Wait > 0 { // who is gone loses a place in the queue; without one there is nothing to lose
		defer c.s.whenGone(cancel)()
	}
	r, err := c.s.view().Acquire(ctx, q)
	if err != nil {
		return nil, err
	}
	switch r.Outcome {
	case kv.Committed:
	case kv.LockHeld, kv.LockLost:
		return c.proto.NilArray(nil), nil
	default:
		return nil, c.refused(&kv.Command{Lock: &kv.LockCommand{Name: q.Name}}, &r)
	}
	b := wire.AppendInt(wire.AppendArray(nil, 3), int64(r.Lease.Token))
	b = wire.AppendBulk(b, r.Lease.ID.String())
	return wire.AppendInt(b, r.Lease.TTL), nil
}

// refused returns the outcome of a command about leases or locks as an error.
func (c *call) refused(k *kv.Command, r *kv.Result) error {
	return api.Outcome(k, r, c.v.opts.Door.Params, false)
}

func runUnlock(c *call) ([]byte, error) {
	name := string(c.args[1])
	token, err := c.integer(2)
	if err != nil || !kv.LockName(name) {
		return nil, refusal("ERR expected the name of a lock and its token")
	}
	kind := kv.LockRelease
	if c.cmd.name == "kw.renew" {
		kind = kv.LockKeep
	}
	k := &kv.Command{Lock: &kv.LockCommand{Kind: kind, Name: name, Token: kv.Rev(token)}}
	r, err := c.do(k)
	switch {
	case err != nil:
		return nil, err
	case r.Outcome == kv.LockLost:
		return textZero, nil
	case r.Outcome != kv.Committed:
		return nil, c.refused(k, &r)
	case kind == kv.LockKeep:
		return wire.AppendInt(nil, r.Lease.TTL), nil
	}
	return textOne, nil
}

const errLeaseEnded refusal = "LEASEENDED the lease does not exist or has expired"

func runLease(c *call) ([]byte, error) {
	sub := upper(c.args[1])
	if sub == "GRANT" {
		ttl, err := c.ttlArg(2)
		if err != nil {
			return nil, err
		}
		k := &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.NewLeaseID(), TTL: ttl, Caller: c.s.account()}}
		return c.leaseReply(k)
	}
	id, err := kv.ParseLeaseID(string(c.args[2]))
	if err != nil {
		return nil, errLeaseEnded
	}
	switch sub {
	case "RENEW":
		return c.leaseReply(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}})
	case "REVOKE":
		k := &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: id}}
		r, err := c.do(k)
		if err == nil && r.Outcome == kv.LeaseEnded {
			err = errLeaseEnded
		}
		return wire.AppendInt(nil, int64(r.Deleted)), err
	case "BIND":
		b, err := c.leaseReply(&kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}})
		if err != nil {
			return b, err
		}
		if info, ok := c.v.opts.Door.Server().State().Lease(id); ok {
			c.s.bind(id, time.Duration(info.TTL)*time.Millisecond)
		}
		return b, nil
	}
	info, ok, err := c.s.view().Lease(c.deadline(), id)
	switch {
	case err != nil:
		return nil, api.ReadError(err)
	case !ok:
		return nil, errLeaseEnded
	case sub == "UNBIND":
		c.v.bound.Unbind(c.s, id)
	case sub != "GET":
		return nil, unknownSub(strings.ToUpper(c.cmd.name), c.args[1])
	}
	b := wire.AppendBulk(wire.AppendArray(nil, 3), id.String())
	b = wire.AppendInt(b, info.TTL)
	return wire.AppendInt(b, info.Remaining(c.logTime())), nil
}

// leaseReply runs a command about a lease and answers with the lease and its TTL.
func (c *call) leaseReply(k *kv.Command) ([]byte, error) {
	r, err := c.do(k)
	switch {
	case err != nil:
		return nil, err
	case r.Outcome == kv.LeaseEnded:
		return nil, errLeaseEnded
	case r.Outcome != kv.Committed:
		return nil, c.refused(k, &r)
	}
	b := wire.AppendBulk(wire.AppendArray(nil, 2), r.Lease.ID.String())
	return wire.AppendInt(b, r.Lease.TTL), nil
}

// bind has a lease live as long as the connection.
func (s *session) bind(id kv.LeaseID, ttl time.Duration) {
	s.server.bound.Bind(s, id, ttl)
	if s.gone.Load() {
		s.server.bound.Release(s)
	}
}
