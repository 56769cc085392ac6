package ws

import "time"

// An active is what a session needs now and then: an idle one has none. It
// belongs to the reactor's calls, and before them to the handshake.
type active struct {
	// unread is what was received and not looked at yet.
	unread []byte
	// held are the watches that wait for their interval.
	held []heldWatch
	// ending is how the session closes, from stageClosing on.
	ending ending
	// message is how far a message has arrived that is not complete.
	message progress
	// proveBy is until when the caller must prove who it is, grace until when the watches are kept of a
	// caller whose credential has expired, on the server's clock; 0 is no such time.
	proveBy, grace time.Duration
	// claim gives the session up if it gets no socket.
	claim *time.Timer
}

// A progress is how far a message has arrived: as wire.Reader.Arrived says, when it began
// and when something of it came last, on the server's clock.
type progress struct {
	arrived     int
	began, last time.Duration
}

// activate returns what the session has now and then, which may be new.
func (s *session) activate() *active {
	if s.active == nil {
		s.active = new(active)
	}
	return s.active
}

// tidy drops what is not needed any more.
func (s *session) tidy() {
	if a := s.active; a != nil && a.unread == nil && len(a.held) == 0 && a.message.arrived == 0 && a.proveBy == 0 && a.grace == 0 && s.stage < stageClosing {
		s.active = nil
	}
}

// unread returns what was received and not looked at yet.
func (s *session) unread() []byte {
	if s.active == nil {
		return nil
	}
	return s.active.unread
}

// keepUnread keeps b, or nothing if that is empty, to be looked at later.
func (s *session) keepUnread(b []byte) {
	switch {
	case len(b) > 0:
		s.activate().unread = b
	case s.active != nil:
		s.active.unread = nil
	}
}

// held returns the watches that wait for their interval.
func (s *session) held() []heldWatch {
	if s.active == nil {
		return nil
	}
	return s.active.held
}
