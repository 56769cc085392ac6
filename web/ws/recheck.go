package ws

import (
	"slices"

	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/wire"
)

// Recheck wakes the sockets whose callers may do something else than they saw last.
func (v *Server) Recheck() {
	for _, s := range v.all(false) {
		if s.who.Load().Changed(s.seen.Load()) {
			s.wake()
		}
	}
}

// recheck looks whether the caller may go on with its watches, if its standing has changed, and
// appends a denied event for each that it may not. It is called after what a watch tells was
// polled, and before that is sent.
func (s *session) recheck(b []byte) []byte {
	who := s.who.Load()
	if !who.Changed(s.seen.Load()) {
		return b
	}
	now := who.Look()
	for _, w := range s.openWatches() {
		if why, _ := who.StreamEnd(now.Since-1, w.watcher.Names); why != "" {
			m := watch.Message{Kind: watch.Denied, Code: why}
			if w.fresh {
				w.fresh = false
				b = appendOK(b, w.id)
			}
			start := len(b)
			b = wire.Finish(m.AppendFor(append(b, make([]byte, wire.Reserve)...), w.id), start, wire.Text)
			s.server.framesOut.Inc()
			w.denied = true
			s.forget(w)
		}
	}
	if now.Ended != "" {
		s.close(api.CodeUnauthenticated.WebSocketClose(), now.Ended)
	}
	s.seen.Store(now.Since)
	return b
}

// openWatches returns the watches that are open; those that are being opened are allowed, or not,
// then.
func (s *session) openWatches() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.mu.watches), func(w *subscription) bool { return !w.ready })
}
