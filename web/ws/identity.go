package ws

import (
	"math"
	"strings"
	"time"

	"keywatch/auth"
	"keywatch/kv/kvjson"
	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/wire"
)

const (
	// unprovedMost is the largest message of a socket whose caller has not proved who it is, in bytes: one with
	// the largest JWT. unprovedTime is how long it may take for that.
	unprovedMost, unprovedTime = auth.TokenMax + 256, 5 * time.Second
	// expiryWarning is how long before its credential expires a client is told, and expiryGrace how long
	// after that its watches are kept, so that it can continue with another one.
	expiryWarning, expiryGrace = 30 * time.Second, 15 * time.Second
	// never is a time on the server's clock that does not come.
	never = time.Duration(math.MaxInt64)
)

// auth has the socket continue as the caller that a credential proves, of the same user. Its watches stay
// as far as that may have them, at their positions.
func (r *runner) auth(c *command) error {
	table := r.s.server.opts.Door.Table()
	if table == nil {
		return api.Refuse(api.CodeBadJSON, "unknown op %q", c.op.name)
	}
	if err := r.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	who, err := table.Find(r.deadline(c), func() (*auth.Caller, error) {
		return authenticate(table, c.secret, r.s.caller.addr().String())
	})
	if err != nil {
		return err
	}
	if old := r.s.who.Load(); old.User() != "" && old.User() != who.User() {
		return api.Refuse(api.CodeDenied, "the credential is another user's: open another socket")
	}
	r.s.become(who)
	b := kvjson.AppendString(append(r.begin(c.id), `,"user":`...), who.Look().Name)
	r.end(b)
	return nil
}

// authenticate returns the caller that a token or ticket proves.
func authenticate(table *auth.Table, secret, address string) (*auth.Caller, error) {
	if strings.HasPrefix(secret, auth.TicketPrefix) {
		return table.UseTicket(secret, "")
	}
	return table.Verify([]byte(secret), address)
}

// become makes the socket one of who.
func (s *session) become(who *auth.Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone.Load() {
		return
	}
	who.Follow()
	old := s.who.Swap(who)
	old.Unfollow()
	s.leaveUnproved()
	s.stale.Store(true)
	s.wake()
}

// enterUnproved counts a socket whose caller may do nothing before it proves who it is. It fails with
// api.ErrTooManyStreams.
func (s *session) enterUnproved(who *auth.Caller) error {
	if who == nil || who.Kind() != auth.Anonymous || !who.Look().Empty() {
		return nil
	}
	if err := s.server.opts.Unproved.Enter(s.caller.addr()); err != nil {
		return err
	}
	s.unproved.Store(true)
	return nil
}

func (s *session) leaveUnproved() {
	if s.unproved.Swap(false) {
		s.server.opts.Unproved.Leave(s.caller.addr())
	}
}

// maxMessage returns the largest message that is read, in bytes.
func (s *session) maxMessage() int {
	if s.unproved.Load() {
		return unprovedMost
	}
	return s.server.opts.MaxBody
}

// grace returns until when the watches are kept of a caller whose credential has expired; 0 if it has
// not.
func (s *session) grace() time.Duration {
	if s.active == nil {
		return 0
	}
	return s.active.grace
}

// endProof ends a socket whose caller has proved nothing in time, or whose credential has expired and
// was not replaced.
func (s *session) endProof(b []byte, at time.Duration) []byte {
	a := s.active
	switch {
	case a == nil || s.stage != stageOpen:
	case s.unproved.Load():
		if a.proveBy != 0 && at >= a.proveBy {
			s.close(api.CodeUnauthenticated.WebSocketClose(), auth.Missing)
		}
	case a.proveBy != 0:
		a.proveBy = 0
	case a.grace != 0 && at >= a.grace:
		a.grace = 0
		who := s.who.Load()
		b = s.deny(b, who, who.Look())
	}
	return b
}

// warn tells the client that its credential is about to expire.
func (s *session) warn(b []byte, at time.Duration) []byte {
	if when := s.warnAt(at); when == never || at < when || s.stage != stageOpen {
		return b
	}
	s.warned = true
	left := max(0, s.who.Load().Expires()-s.server.opts.Door.Table().Now())
	return s.frame(b, func(b []byte) []byte {
		return append(kvjson.AppendNumber(append(b, `{"type":"auth",`...), "expires_ms", uint64(left)), '}')
	})
}

// warnAt returns when to warn.
func (s *session) warnAt(at time.Duration) time.Duration {
	who := s.who.Load()
	if who == nil || s.warned || who.Expires() == 0 || s.grace() != 0 {
		return never
	}
	left := who.Expires() - s.server.opts.Door.Table().Now()
	if left > math.MaxInt64/2/int64(time.Millisecond) {
		return never
	}
	return at + time.Duration(left)*time.Millisecond - expiryWarning
}

// proofAgain returns when there is something to do about the credential although the session is not
// woken.
func (s *session) proofAgain(at time.Duration) time.Duration {
	next := s.warnAt(at)
	if a := s.active; a != nil && a.proveBy != 0 {
		next = min(next, a.proveBy)
	}
	if g := s.grace(); g != 0 {
		next = min(next, g)
	}
	return next
}

// frame appends a frame of what write appends.
func (s *session) frame(b []byte, write func([]byte) []byte) []byte {
	start := len(b)
	b = write(append(b, make([]byte, wire.Reserve)...))
	s.server.framesOut.Inc()
	return wire.Finish(b, start, wire.Text)
}
