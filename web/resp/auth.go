package resp

import (
	"errors"
	"strconv"

	"keywatch/auth"
	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/resp/wire"
)

const (
	errNoPassword = refusal("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	errWrongPass  = refusal("WRONGPASS invalid username-password pair or user is disabled.")
	errHelloAuth  = refusal("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	errAuthMulti  = refusal("ERR HELLO with AUTH inside MULTI is not allowed")
)

// runAuth is AUTH [user] secret.
func runAuth(s *session, _ *command, args [][]byte) {
	user := defaultUser
	switch {
	case len(args) > 3:
		s.say(errorText(errSyntax))
		return
	case len(args) == 3:
		user = string(args[1])
	}
	if s.who.Load() == nil {
		s.say(openAuth(args))
		return
	}
	s.prove(user, string(args[len(args)-1]), func() { s.say(textOK) })
}

// openAuth answers AUTH where there is no authentication.
func openAuth(args [][]byte) []byte {
	switch {
	case len(args) == 2:
		return errorText(errNoPassword)
	case string(args[1]) != defaultUser:
		return errorText(errWrongPass)
	}
	return textOK
}

// prove finds out whether a secret is the user's, and has the session go on as that user then: at
// once for a token, on a runner for a password. then answers. What is wrong changes nothing.
func (s *session) prove(user, secret string, then func()) {
	if err := s.chargeProof(); err != nil {
		s.fail(err)
		return
	}
	if _, err := auth.CheckSecret(secret); err == nil || s.server.opts.Door.Table().AcceptsJWT() && auth.IsJWT(secret) {
		s.proveToken(user, secret, then)
		return
	}
	login, address := s.server.opts.Login, s.peer.addr().String()
	if login == nil {
		s.fail(errWrongPass)
		return
	}
	s.job(func() reply {
		who, err := login(s.server.deadline(), address, user, secret)
		return reply{then: func() { s.loggedIn(who, err, then) }}
	})
}

// proveToken is prove for a token. One that is not known here may have been made elsewhere a moment ago: then it is
// looked at again once what was acknowledged is applied here.
func (s *session) proveToken(user, secret string, then func()) {
	table := s.server.opts.Door.Table()
	who, err := table.Authenticate([]byte(secret))
	if auth.MayBeNew(err) && !s.fresh {
		if b := table.CatchUp(s); b != nil {
			s.park(b, []byte("auth"), func() { s.proveToken(user, secret, then) })
			return
		}
	}
	switch {
	case err == auth.ErrUnverified:
		address := s.peer.addr().String()
		s.job(func() reply { // a signature is not for an event loop
			who, err := table.Verify([]byte(secret), address)
			return reply{then: func() { s.tokenProved(who, err, user, then) }}
		})
	case auth.MayBeNew(err) && s.fresh && s.barrier.Err() != nil:
		s.fail(s.barrier.Err())
	default:
		s.tokenProved(who, err, user, then)
	}
}

// tokenProved has the session go on as who, whose token was looked at: as any user where none is named.
func (s *session) tokenProved(who *auth.Caller, err error, user string, then func()) {
	if _, failed := errors.AsType[*auth.FailedError](err); failed || err == nil && user != defaultUser && !isNamed(who, user) {
		err = errWrongPass
	}
	if err != nil {
		s.fail(err)
		return
	}
	s.become(who)
	then()
}

func (s *session) loggedIn(who *auth.Caller, err error, then func()) {
	if errors.Is(err, auth.ErrWrongPassword) {
		err = errWrongPass
	}
	if err != nil {
		s.fail(err)
		return
	}
	s.become(who)
	then()
}

// isNamed reports whether a caller is the user with a name.
func isNamed(who *auth.Caller, name string) bool {
	folded, err := auth.FoldName(name)
	return err == nil && who.Look().Name == folded
}

// chargeProof counts an attempt to prove something against the rate of the address.
func (s *session) chargeProof() error {
	limiter := s.server.opts.Limiter
	if limiter == nil {
		return nil
	}
	if d := limiter.Allow(s.caller.Value(), ratelimit.Read, 1); d.Limit != 0 && !d.OK {
		return api.RateLimited(d, ratelimit.Read)
	}
	return nil
}

// A hello is what HELLO asks for.
type hello struct {
	proto          wire.Proto
	name           string
	named          bool
	user, password string
	proves         bool
}

// parseHello reads the words of HELLO.
func (s *session) parseHello(args [][]byte) (h hello, err error) {
	h.proto = s.proto
	if len(args) > 1 {
		n, err := strconv.Atoi(string(args[1]))
		if err != nil {
			return h, refusal("ERR Protocol version is not an integer or out of range")
		}
		if n != 2 && n != 3 {
			return h, refusal("NOPROTO unsupported protocol version")
		}
		h.proto = wire.Proto(n)
	}
	for i := 2; i < len(args); i++ {
		switch word := upper(args[i]); {
		case word == "AUTH" && i+2 < len(args):
			h.user, h.password, h.proves = string(args[i+1]), string(args[i+2]), true
			if s.who.Load() == nil && h.user != defaultUser {
				return h, errWrongPass
			}
			i += 2
		case word == "SETNAME" && i+1 < len(args):
			i++
			if !plainName(args[i]) {
				return h, refusal("ERR Client names cannot contain spaces, newlines or special characters.")
			}
			h.name, h.named = string(args[i]), true
		default:
			return h, refusal("ERR Syntax error in HELLO option '" + string(args[i]) + "'")
		}
	}
	return h, nil
}

// runHello says who speaks, in the version of the protocol that is asked for. What is refused
// changes nothing.
func runHello(s *session, _ *command, args [][]byte) {
	h, err := s.parseHello(args)
	switch {
	case err != nil:
		s.say(errorText(err))
	case s.who.Load() == nil:
		s.say(s.greet(&h))
	case h.proves:
		s.prove(h.user, h.password, func() { s.say(s.greet(&h)) })
	case s.good() != nil:
		s.fail(errHelloAuth)
	default:
		s.say(s.greet(&h))
	}
}

// directHello is runHello in a transaction.
func directHello(s *session, args [][]byte) []byte {
	h, err := s.parseHello(args)
	if err == nil && h.proves && s.who.Load() != nil {
		err = errAuthMulti
	}
	if err != nil {
		return errorText(err)
	}
	return s.greet(&h)
}

// greet does what HELLO asks for, and returns its reply.
func (s *session) greet(h *hello) []byte {
	s.setProto(h.proto)
	if h.named {
		s.mu.Lock()
		s.aboutLocked().name = h.name
		s.mu.Unlock()
	}
	b := h.proto.Map(nil, 7)
	b = wire.AppendBulk(wire.AppendBulk(b, "server"), "redis")
	b = wire.AppendBulk(wire.AppendBulk(b, "version"), redisVersion)
	b = wire.AppendInt(wire.AppendBulk(b, "proto"), int64(h.proto))
	b = wire.AppendInt(wire.AppendBulk(b, "id"), int64(s.id))
	b = wire.AppendBulk(wire.AppendBulk(b, "mode"), "standalone")
	b = wire.AppendBulk(wire.AppendBulk(b, "role"), "master")
	return wire.AppendArray(wire.AppendBulk(b, "modules"), 0)
}

func directACL(s *session, args [][]byte) []byte {
	switch upper(args[1]) {
	case "WHOAMI":
		return wire.AppendBulk(nil, s.userName())
	case "HELP":
		return help("ACL", "WHOAMI", "    Return the current connection username.")
	}
	return errorText(unknownSub("acl", args[1]))
}
