package resp

import (
	"time"
	"unique"

	"keywatch/auth"
)

const (
	// defaultUser is what Redis calls a caller without a credential.
	defaultUser = "default"
	// unprovedMost is how many bytes of one command are kept while the caller has not proved who it
	// is: those of one with the largest JWT.
	unprovedMost = auth.TokenMax + 256
)

// view returns the store and the hub as the session's caller may use them.
func (s *session) view() auth.View {
	v := s.server.opts.Door.As(s.who.Load())
	if s.server.opts.Door.AuditsWrites() {
		v = v.From(&auth.Origin{Wire: "RESP", Address: s.caller.Value()})
	}
	return v
}

// userName returns the name of the user that the caller is.
func (s *session) userName() string {
	if who := s.who.Load(); who != nil && who.Kind() != auth.Anonymous {
		return who.Look().Name
	}
	return defaultUser
}

// account returns for whom leases and idempotency keys count: the user or, for callers without a
// credential, the address.
func (s *session) account() string {
	if who := s.who.Load(); who != nil && who.User() != "" {
		return who.User()
	}
	return s.caller.Value()
}

// limited returns for whom commands count against a rate, and whether they do.
func (s *session) limited() (name string, ok bool) {
	who := s.who.Load()
	switch {
	case who == nil:
		return s.caller.Value(), !s.exempt
	case who.Kind() == auth.Anonymous:
		return s.caller.Value(), true
	case who.ID() != (auth.CredID{}):
		return who.ID().String(), true
	}
	return who.User(), true
}

// sameUser reports whether two sessions have callers of one user.
func (s *session) sameUser(other *session) bool {
	return s.account() == other.account() || s.who.Load() == nil
}

// callerOf returns for whom the commands of a connection count, and whether it is not limited.
func (o *Options) callerOf(peer address) (name unique.Handle[string], exempt bool) {
	ip := peer.addr()
	return unique.Make(ip.String()), ip.IsLoopback() && !o.RateLoopback
}

// beginCaller makes the session one of a caller without a credential. It fails with
// api.ErrTooManyStreams where there are too many that may do nothing.
func (s *session) beginCaller() error {
	table := s.server.opts.Door.Table()
	if table == nil {
		return nil
	}
	who := table.Anonymous()
	if who.Look().Empty() {
		if err := s.server.opts.Unproved.Enter(s.peer.addr()); err != nil {
			return err
		}
		s.unproved = true
	}
	s.setCaller(who)
	return nil
}

// become makes the session one of who, who has proved it. What the session has open stays open as far
// as who may have it; leases of another user that were bound to it live on for their TTL.
func (s *session) become(who *auth.Caller) {
	old := s.who.Load()
	if old == who {
		return
	}
	s.setCaller(who)
	old.Unfollow()
	if who.Kind() != auth.Anonymous {
		s.proved()
	}
	if old.User() != who.User() {
		s.server.bound.Release(s)
	}
	s.stale = true
}

func (s *session) setCaller(who *auth.Caller) {
	who.Follow()
	s.who.Store(who)
	s.seen.Store(who.Look().Since)
}

// leaveCaller ends what beginCaller has begun.
func (s *session) leaveCaller() {
	s.who.Load().Unfollow()
	if s.unproved {
		s.server.opts.Unproved.Leave(s.peer.addr())
	}
}

// most returns how many bytes of one command are kept.
func (s *session) most() int {
	if s.unproved {
		return unprovedMost
	}
	return s.server.opts.Door.Limits().Command
}

// proved gives back the place of a session that had proved nothing.
func (s *session) proved() {
	if s.unproved {
		s.unproved = false
		if s.active != nil { // a certificate is a credential before anything was received
			s.in.Most = s.most()
		}
		s.server.opts.Unproved.Leave(s.peer.addr())
	}
}

// endUnproved ends a session that has proved nothing in time, and returns when to look again.
func (s *session) endUnproved() (again time.Time) {
	if !s.unproved {
		return again
	}
	until := s.server.born.Add(time.Duration(s.began) + s.server.opts.ProofTime)
	if time.Now().Before(until) {
		return until
	}
	s.refuseAll(errNoAuth)
	return again
}
