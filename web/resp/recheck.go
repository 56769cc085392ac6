package resp

import (
	"slices"
	"strings"

	"keywatch/auth"
	"keywatch/watch"
	"keywatch/web/resp/wire"
)

// Recheck wakes the sessions whose callers may do something else than they saw last.
func (v *Server) Recheck() {
	for _, s := range v.sessions() {
		if who := s.who.Load(); who.Changed(s.seen.Load()) || who == nil && v.opts.Door.Shut() != nil {
			s.Wake()
		}
	}
}

// recheck looks whether the caller may go on with what it has open, if its standing has changed: a
// watch that it may not have ends with a denied event, and the connection ends, as with Redis, where
// the credential did, or a subscription that has no way to say so. It is called after what a watch
// tells was polled, and before that is sent.
func (s *session) recheck(b []byte) []byte {
	who := s.who.Load()
	if who == nil {
		s.shut()
		return b
	}
	if s.over || !s.stale && !who.Changed(s.seen.Load()) {
		return b
	}
	s.stale = false
	now := who.Look()
	for _, st := range slices.Clone(s.streams) {
		if why, _ := who.StreamEnd(now.Since-1, st.watcher.Names); why != "" {
			b = st.append(b, &watch.Message{Kind: watch.Denied, Code: why})
			st.denied = true
			s.dropStream(st)
		}
	}
	if now.Ended != "" || !s.mayKeep(now) {
		s.endDenied()
	} else {
		s.server.tracking.forget(s)
	}
	s.seen.Store(now.Since)
	return b
}

// shut ends the connection, and what it is told, if there is no authentication and the store has got users.
func (s *session) shut() {
	err := s.server.opts.Door.Shut()
	if err == nil || s.closing || s.over {
		return
	}
	for _, st := range s.streams {
		st.denied = true
	}
	s.say(wire.AppendError(nil, s.server.explain(err)))
	s.endDenied()
	s.Wake() // to send it
}

// between calls what tests have do something there.
func (s *session) between() {
	if f := s.server.between.Load(); f != nil {
		(*f)(s.id)
	}
}

// dropStream ends a watch, and the subscription that it was.
func (s *session) dropStream(st *stream) {
	s.closeStream(st.name, st.id)
	if p := s.what.Load(); p != nil && st.name != "" {
		p.mu.Lock()
		delete(p.channels, st.name)
		p.mu.Unlock()
		s.noteFlags()
	}
}

// endDenied ends the connection after the replies of what was begun.
func (s *session) endDenied() {
	s.closing, s.unread, s.multi = true, nil, nil
	s.unwatch()
	s.in.Drop()
	s.endPushes()
	s.mu.Lock()
	wait := s.mu.onGone
	s.mu.Unlock()
	if wait != nil {
		wait()
	}
}

// mayKeep reports whether what the session is subscribed to, beside watches, may stay.
func (s *session) mayKeep(now *auth.Standing) bool {
	p := s.what.Load()
	if p == nil {
		return true
	}
	for _, pattern := range []bool{false, true} {
		for _, name := range p.names(pattern) {
			if keys, prefixes := s.server.names.toldOf(name, pattern); now.Stream(keys, prefixes) != nil {
				return false
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Stream(nil, s.server.names.underAll(p.tracked.prefixes)) == nil
}

// toldOf returns the keys, and what those begin with, that a channel or pattern tells of. A watch
// is looked at where it is opened.
func (n names) toldOf(name string, pattern bool) (keys, prefixes []string) {
	if !pattern {
		if key, ok := strings.CutPrefix(name, keyspacePrefix); ok {
			if key, err := n.stored(key); err == nil {
				return []string{key}, nil
			}
			return nil, nil // there is no such key
		}
		if strings.HasPrefix(name, keyeventPrefix) {
			return nil, []string{""}
		}
		return nil, nil
	}
	if prefix, ok := strings.CutPrefix(glob(name).literal(), keyspacePrefix); ok {
		return nil, n.underAll([]string{prefix})
	}
	if needsPump(name) {
		return nil, []string{""}
	}
	return nil, nil
}

// maySubscribe returns why the caller may not be subscribed to a channel or pattern.
func (s *session) maySubscribe(name string, pattern bool) error {
	keys, prefixes := s.server.names.toldOf(name, pattern)
	if len(keys)+len(prefixes) == 0 {
		return nil
	}
	_, err := s.view().MayWatch(keys, prefixes)
	return noChannel(err)
}

// noChannel returns err as Redis says that a user may not access a channel.
func noChannel(err error) error {
	if denied, ok := err.(*auth.DeniedError); ok {
		return refusef("NOPERM No permissions to access a channel: requires %s", denied.Need)
	}
	return err
}

// mayBeTold reports whether the caller may now be told that keys have changed: with watches set, as a
// watch tells it. It may be called by anybody.
func (s *session) mayBeTold(watches bool, keys ...string) bool {
	who := s.who.Load()
	if who == nil {
		return true
	}
	now := who.Look()
	return !slices.ContainsFunc(keys, func(key string) bool {
		return !now.Key(auth.Read, key) || watches && !now.Key(auth.Watch, key)
	})
}
