package ws

import (
	"bytes"
	"time"

	"keywatch/watch"
	"keywatch/web/api"
	"keywatch/web/wire"
)

// An ending is how a session closes: with a close frame, and a wait for the
// client's until then.
type ending struct {
	code   int
	reason string
	until  time.Duration
	// bye is the payload of a message that is sent before; nil for none.
	bye []byte
}

// broken ends a connection whose bytes make no sense any more.
func (s *session) broken(err *wire.Error) {
	if s.stage == stageClosed {
		s.finish()
		return
	}
	s.in.Drop()
	s.peerClosed = true
	reason := err.Reason
	if err.Code == wire.CloseTooBig {
		reason += "; --max-batch bounds it"
	}
	s.close(err.Code, reason)
}

// close has a close frame sent after what is on its way.
func (s *session) close(code int, reason string) {
	if s.stage >= stageClosing {
		return
	}
	s.stage = stageClosing
	s.activate().ending = ending{code: code, reason: reason}
	s.server.countClose(code)
	s.sock.Wake()
}

// finish ends the connection once everything is written.
func (s *session) finish() {
	s.stage = stageOver
	s.keepUnread(nil)
	s.sock.Finish()
}

// drain closes the socket once everything that was read is answered.
func (s *session) drain() {
	if s.stage == stageOpen {
		s.stage = stageDraining
	}
	if s.stage == stageDraining && s.quiet() {
		s.close(api.CodeStopping.WebSocketClose(), string(api.CodeStopping))
		s.active.ending.bye = s.goodbye()
	}
}

// goodbye returns the message that tells which servers to use instead, nil where there are none.
func (s *session) goodbye() []byte {
	m := s.server.opts.Door.Hub().Farewell(watch.CodeStopping).Message()
	if len(m.Endpoints) == 0 {
		return nil
	}
	return bytes.TrimSuffix(watch.NDJSON.Append(nil, &m), []byte("\n"))
}

// fillClose sends the close frame, and then waits for the client's.
func (s *session) fillClose(b []byte, at time.Duration) []byte {
	switch {
	case s.stage == stageClosing:
		end := &s.active.ending
		if end.bye != nil {
			b = wire.Append(b, wire.Text, end.bye)
			s.server.framesOut.Inc()
		}
		b = wire.AppendClose(b, end.code, end.reason)
		s.server.framesOut.Inc()
		s.stage, end.until = stageClosed, at+closeWait
		if s.peerClosed {
			s.finish()
		} else {
			s.readOn()
		}
	case s.stage == stageClosed && at >= s.active.ending.until:
		s.finish()
	}
	return b
}
