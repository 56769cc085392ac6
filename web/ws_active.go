package web

import "time"

// A sessionRare is what a session needs now and then: an idle one has none. It
// belongs to the reactor's calls, and before them to the handshake.
type sessionRare struct {
	// rest is what was received and not looked at yet.
	rest []byte
	// held are the watches that wait for their interval.
	held []heldWatch
	// ending is how the session closes, from stageClosing on.
	ending ending
	// claim gives the session up if it gets no socket.
	claim *time.Timer
}

// An ending is how a session closes: with a close frame, and a wait for the
// client's until then.
type ending struct {
	code   int
	reason string
	until  time.Duration
}

// rarely returns what the session has now and then, which may be new.
func (s *session) rarely() *sessionRare {
	if s.rare == nil {
		s.rare = new(sessionRare)
	}
	return s.rare
}

// tidy drops what is not needed any more.
func (s *session) tidy() {
	if r := s.rare; r != nil && r.rest == nil && len(r.held) == 0 && s.stage < stageClosing {
		s.rare = nil
	}
}

// rest returns what was received and not looked at yet.
func (s *session) rest() []byte {
	if s.rare == nil {
		return nil
	}
	return s.rare.rest
}

// keepRest keeps b, or nothing if that is empty, to be looked at later.
func (s *session) keepRest(b []byte) {
	switch {
	case len(b) > 0:
		s.rarely().rest = b
	case s.rare != nil:
		s.rare.rest = nil
	}
}

// held returns the watches that wait for their interval.
func (s *session) held() []heldWatch {
	if s.rare == nil {
		return nil
	}
	return s.rare.held
}
