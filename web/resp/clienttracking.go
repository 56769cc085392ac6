package resp

import (
	"slices"
	"strconv"
	"strings"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

// redirect returns what CLIENT LIST shows: the connection that is told, 0 for none, -1 without
// tracking.
func (p *pushes) redirect() int64 {
	if p == nil {
		return -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tracked.on {
		return -1
	}
	return int64(p.tracked.redirect)
}

// trackingFlags are the letters of CLIENT LIST.
func (p *pushes) trackingFlags() (flags string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tracked.on {
		flags = "t"
	}
	if p.tracked.broken {
		flags += "R"
	}
	if p.tracked.bcast {
		flags += "B"
	}
	return flags
}

// trackReads notes which keys a command is about to read, if the connection tracks them.
func (s *session) trackReads(cmd *command, args [][]byte) {
	p := s.what.Load()
	if p == nil || cmd.writes() || cmd.first == 0 || !slices.Contains(cmd.flags, "readonly") {
		return
	}
	p.mu.Lock()
	k := &p.tracked
	reads := k.on && !k.bcast && !(k.optin && !(k.answered && k.caching)) && !(k.optout && k.answered && !k.caching)
	p.mu.Unlock()
	if reads {
		s.server.tracking.enter(s, cmd.keysOf(args), s.server.opts.Door.Position().Rev)
	}
}

// endCaching forgets what CLIENT CACHING has said, after the command that it was for.
func (s *session) endCaching(cmd *command, args [][]byte) {
	p := s.what.Load()
	if p == nil || cmd == nil || s.multi != nil || cmd.name == "client" && len(args) > 1 && upper(args[1]) == "CACHING" {
		return
	}
	p.mu.Lock()
	p.tracked.answered = false
	p.mu.Unlock()
}

// wrote notes a revision of the connection's own.
func (s *session) wrote(rev kv.Rev) {
	p := s.what.Load()
	if p == nil || rev == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := &p.tracked; k.noloop {
		if k.own = append(k.own, rev); len(k.own) > maxOwn {
			k.own = k.own[1:]
		}
	}
}

func (s *session) clientTracking(sub string, args [][]byte) []byte {
	switch sub {
	case "GETREDIR":
		return wire.AppendInt(nil, s.what.Load().redirect())
	case "TRACKINGINFO":
		return s.trackingInfo()
	case "CACHING":
		return s.caching(upper(args[2]))
	}
	switch upper(args[2]) {
	case "ON":
		k, err := s.parseTracking(args[3:])
		if err == nil {
			err = s.track(k)
		}
		if err != nil {
			return wire.AppendError(nil, s.server.explain(err))
		}
	case "OFF":
		s.server.tracking.stop(s)
	default:
		return errorText(errSyntax)
	}
	s.noteFlags()
	return textOK
}

func (s *session) parseTracking(args [][]byte) (k tracked, err error) {
	k.on = true
	for i := 0; i < len(args); i++ {
		switch word := upper(args[i]); {
		case word == "REDIRECT" && i+1 < len(args):
			i++
			if k.redirect != 0 {
				return k, refusal("ERR A client can only redirect to a single other client")
			}
			id, err := strconv.ParseUint(string(args[i]), 10, 63)
			if err != nil {
				return k, refusal("ERR Invalid client ID")
			}
			if target := s.server.find(id); target == nil || !s.sameUser(target) {
				return k, refusal("ERR The client ID you want redirect to does not exist")
			}
			k.redirect = id
		case word == "BCAST":
			k.bcast = true
		case word == "OPTIN":
			k.optin = true
		case word == "OPTOUT":
			k.optout = true
		case word == "NOLOOP":
			k.noloop = true
		case word == "PREFIX" && i+1 < len(args):
			i++
			k.prefixes = append(k.prefixes, string(args[i]))
		default:
			return k, errSyntax
		}
	}
	switch {
	case len(k.prefixes) > 0 && !k.bcast:
		return k, refusal("ERR PREFIX option requires BCAST mode to be enabled")
	case k.bcast && (k.optin || k.optout):
		return k, refusal("ERR OPTIN and OPTOUT are not compatible with BCAST")
	case k.optin && k.optout:
		return k, refusal("ERR You can't specify both OPTIN mode and OPTOUT mode")
	}
	return k, nil
}

// collides returns a refusal if two prefixes overlap.
func collides(have, more []string) error {
	for i, a := range more {
		for _, b := range have {
			if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
				if a != b {
					return refusef("ERR Prefix '%s' overlaps with an existing prefix '%s'. Prefixes for a single client must not overlap.", a, b)
				}
			}
		}
		for _, b := range more[i+1:] {
			if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
				return refusef("ERR Prefix '%s' overlaps with another provided prefix '%s'. Prefixes for a single client must not overlap.", a, b)
			}
		}
	}
	return nil
}

// track begins tracking, or changes it.
func (s *session) track(k tracked) error {
	p := s.own()
	t := &s.server.tracking
	p.mu.Lock()
	old := p.tracked
	p.mu.Unlock()
	switch {
	case old.on && old.bcast != k.bcast:
		return refusal("ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.")
	case old.on && (k.optin && old.optout || k.optout && old.optin):
		return refusal("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.")
	}
	if k.bcast && len(k.prefixes) == 0 && len(old.prefixes) == 0 {
		k.prefixes = []string{""}
	}
	if err := collides(old.prefixes, k.prefixes); err != nil {
		return err
	}
	if k.bcast {
		if _, err := s.view().MayWatch(nil, s.server.names.underAll(k.prefixes)); err != nil {
			return noChannel(err)
		}
	}
	if !old.on {
		if err := s.chargeSubscription(""); err != nil {
			return err
		}
		if err := s.server.pumpStart(); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, prefix := range old.prefixes {
		if !slices.Contains(k.prefixes, prefix) {
			k.prefixes = append(k.prefixes, prefix)
		}
	}
	t.prefix += len(k.prefixes) - len(old.prefixes)
	k.found, k.own = make(map[string][]string), old.own
	p.tracked = k
	t.on[s] = p
	if k.bcast {
		t.bcast[s] = p
	}
	return nil
}

func (s *session) caching(word string) []byte {
	if s.what.Load() == nil {
		return wire.AppendError(nil, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	}
	p := s.what.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &p.tracked
	switch {
	case !k.on || !k.optin && !k.optout:
		return wire.AppendError(nil, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	case word != "YES" && word != "NO":
		return errorText(errSyntax)
	case word == "YES" && !k.optin:
		return wire.AppendError(nil, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case word == "NO" && !k.optout:
		return wire.AppendError(nil, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	}
	k.caching, k.answered = word == "YES", true
	return textOK
}

func (s *session) trackingInfo() []byte {
	var k tracked
	if s.what.Load() != nil {
		s.what.Load().mu.Lock()
		k = s.what.Load().tracked
		s.what.Load().mu.Unlock()
	}
	flags := []string{"off"}
	if k.on {
		flags[0] = "on"
	}
	for _, f := range []struct {
		set  bool
		name string
	}{
		{k.bcast, "bcast"}, {k.optin, "optin"}, {k.optin && k.answered && k.caching, "caching-yes"}, {k.optout, "optout"},
		{k.optout && k.answered && !k.caching, "caching-no"}, {k.noloop, "noloop"}, {k.broken, "broken_redirect"},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	b := s.proto.Map(nil, 3)
	b = s.proto.Set(wire.AppendBulk(b, "flags"), len(flags))
	for _, f := range flags {
		b = wire.AppendBulk(b, f)
	}
	b = wire.AppendInt(wire.AppendBulk(b, "redirect"), s.what.Load().redirect())
	return appendStrings(wire.AppendBulk(b, "prefixes"), k.prefixes)
}
