package resp

import (
	"sync/atomic"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

// watching counts the connections that watch keys, and those keys.
type watching struct{ clients, keys atomic.Int64 }

func directUnwatch(s *session, _ [][]byte) []byte {
	s.unwatch()
	return textOK
}

// unwatch forgets what WATCH has noted.
func (s *session) unwatch() {
	if n := len(s.watched); n > 0 {
		s.server.watching.clients.Add(-1)
		s.server.watching.keys.Add(int64(-n))
	}
	s.watched = nil
}

// runWatch notes the revisions of keys, before the next command is looked at.
func runWatch(s *session, cmd *command, args [][]byte) {
	if s.multi != nil {
		s.fail(refusal("ERR WATCH inside MULTI is not allowed"))
		return
	}
	c := s.call(cmd, args)
	ops, err := c.gets()
	if err == nil && len(s.watched)+len(ops) > c.v.opts.Door.Limits().Ops {
		err = errTooMany
	}
	if err != nil {
		s.say(wire.AppendError(nil, c.explain(err)))
		return
	}
	k := &kv.Command{Ops: ops}
	if s.ahead > 0 {
		s.watchLater(c, k)
		return
	}
	if b := s.mustWait(); b != nil {
		kept := cloneAll(args)
		s.park(b, kept[0], func() { runWatch(s, cmd, kept) })
		return
	}
	switch result, err := s.doNow(k, true); err {
	case nil:
		s.watch(ops, &result)
		s.say(textOK)
	case kv.ErrWouldWait:
		s.watchLater(c, k)
	default:
		s.fail(err)
	}
}

// watchLater notes the revisions of keys once all that the connection has begun is applied.
func (s *session) watchLater(c *call, k *kv.Command) {
	s.job(func() reply {
		result, err := c.do(k)
		if err != nil {
			return reply{text: wire.AppendError(nil, c.explain(err))}
		}
		return reply{text: textOK, then: func() { s.watch(k.Ops, &result) }}
	})
}

// watch notes the revision of each key that exists, and of which revision each is absent that does
// not: it may be created and deleted again.
func (s *session) watch(ops []kv.Op, r *kv.Result) {
	if len(s.watched) == 0 {
		s.server.watching.clients.Add(1)
	}
	s.server.watching.keys.Add(int64(len(r.Ops)))
	for i := range r.Ops {
		k := kv.Check{Kind: kv.CheckUnchanged, Key: ops[i].Key, N: uint64(r.At.Rev)}
		if e := r.Ops[i].Entry; e != nil {
			k.Kind, k.N = kv.CheckRev, uint64(e.Mod)
		}
		s.watched = append(s.watched, k)
	}
}

// lesser returns conditions that a release knows which does not know kv.CheckUnchanged: a key that is
// absent again counts as unchanged.
func lesser(checks []kv.Check) (out []kv.Check, changed bool) {
	for _, k := range checks {
		if k.Kind == kv.CheckUnchanged {
			k, changed = kv.Check{Kind: kv.CheckRev, Key: k.Key}, true
		}
		out = append(out, k)
	}
	return out, changed
}
