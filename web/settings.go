package web

import "net/netip"

// Settings are what can be changed of a Server while it serves. Their fields are those of Options.
type Settings struct {
	AllowHost, AllowOrigin []string
	TrustedProxy           []netip.Prefix
	MaxBackups             int
}

// settings are those in force.
type settings struct {
	guard      guard
	trusted    []netip.Prefix
	maxBackups int
}

// Change has other settings be in force for requests from now on. It fails, and changes nothing, if
// they cannot be used.
func (s *Server) Change(c Settings) error {
	opts := s.opts
	opts.AllowHost, opts.AllowOrigin = c.AllowHost, c.AllowOrigin
	guard, err := newGuard(opts)
	if err != nil {
		return err
	}
	guard.team = s.team
	next := &settings{guard: guard, trusted: c.TrustedProxy, maxBackups: c.MaxBackups}
	setInt(&next.maxBackups, 2)
	s.settings.Store(next)
	return nil
}

// AllowHosts has an Ops answer requests for profiles that name other hosts from now on. It fails, and
// changes nothing, if one cannot be used.
func (o *Ops) AllowHosts(hosts []string) error {
	guard, err := newGuard(Options{AllowHost: hosts})
	if err != nil {
		return err
	}
	guard.team = &team{opts: new(Options)}
	o.guard.Store(&guard)
	return nil
}
