package ws

import (
	"slices"
	"time"

	"keywatch/auth"
	"keywatch/kv/kvjson"
	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/reactor"
)

// Recheck wakes the sockets whose callers may do something else than they saw last.
func (v *Server) Recheck() {
	for _, s := range v.all(false) {
		if who := s.who.Load(); who.Changed(s.seen.Load()) || who == nil && v.opts.Door.Shut() != nil {
			s.wakeAs(reactor.Endings)
		}
	}
}

// recheck looks whether the caller may go on with its watches, if its standing has changed or it is
// another one, and appends a denied event for each that it may not. Where the credential has only
// expired the watches are kept for a while, and tell nothing. It is called after what a watch tells
// was polled, and before that is sent.
func (s *session) recheck(b []byte, at time.Duration) []byte {
	stale := s.stale.Load() && s.stale.Swap(false) // before the caller is looked at: see become
	who := s.who.Load()
	if who == nil {
		return s.shut(b)
	}
	if !stale && !who.Changed(s.seen.Load()) {
		return b
	}
	now := who.Look()
	s.seen.Store(now.Since)
	if stale {
		s.warned = false
	}
	if now.Ended == auth.Expired && s.stage == stageOpen {
		return s.beginGrace(b, at)
	}
	if s.active != nil {
		s.active.grace = 0
	}
	return s.deny(b, who, now)
}

// shut ends the socket, and its watches, if there is no authentication and the store has got users.
func (s *session) shut(b []byte) []byte {
	door := s.server.opts.Door
	if door.Shut() == nil || s.stage != stageOpen {
		return b
	}
	bye := door.Hub().Farewell(watch.CodeStarting).Message()
	for _, w := range s.openWatches() {
		b = s.frame(b, func(b []byte) []byte { return bye.AppendFor(b, w.id) })
		w.denied = true
		s.forget(w)
	}
	s.close(api.CodeStarting.WebSocketClose(), string(api.CodeStarting))
	return b
}

// beginGrace says that the credential has expired, and until when another one is waited for.
func (s *session) beginGrace(b []byte, at time.Duration) []byte {
	if s.grace() != 0 {
		return b
	}
	s.activate().grace = at + expiryGrace
	return s.frame(b, func(b []byte) []byte {
		return append(kvjson.AppendNumber(append(b, `{"type":"denied","code":"expired",`...), "grace_ms", uint64(expiryGrace.Milliseconds())), '}')
	})
}

// deny ends the watches that the caller may not have, and the socket if the credential has ended.
func (s *session) deny(b []byte, who *auth.Caller, now *auth.Standing) []byte {
	for _, w := range s.openWatches() {
		if why, _ := who.StreamEnd(now.Since-1, w.watcher.Names); why != "" {
			m := watch.Message{Kind: watch.Denied, Code: why}
			if w.fresh {
				w.fresh = false
				b = appendOK(b, w.id)
			}
			b = s.frame(b, func(b []byte) []byte { return m.AppendFor(b, w.id) })
			w.denied = true
			s.forget(w)
		}
	}
	if now.Ended != "" {
		s.close(api.CodeUnauthenticated.WebSocketClose(), now.Ended)
	}
	return b
}

// openWatches returns the watches that are open; those that are being opened are allowed, or not,
// then.
func (s *session) openWatches() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.mu.watches), func(w *subscription) bool { return !w.ready })
}
