package ws

import (
	"math/rand/v2"
	"time"

	"keywatch/web/wire"
)

// pingEvery is how often a socket is looked at; up to a fifth less, at random. One
// that was silent since the last look is asked whether its client is there, and
// closed at the next: a client that vanishes is noticed within a minute.
const pingEvery = 18 * time.Second

// jittered returns d, or up to a fifth less.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/5+1) }

// ping asks a silent client whether it is there, and closes if it was asked
// before and has not answered. A socket that is not read from cannot be heard: its
// client is asked, and the kernel ends the connection if it does not take that.
func (s *session) ping(b []byte, at time.Duration) []byte {
	if at < s.nextPing {
		return b
	}
	// Late by this much, the process stood still, and answers may be unread.
	late := at-s.nextPing > pingEvery
	s.nextPing = at + jittered(pingEvery)
	switch {
	case s.heard || late:
		s.heard, s.pinged = false, false
		return b
	case s.pinged && !s.paused:
		s.peerClosed = true // so that its answer is not waited for
		s.close(closeSilent, "no answer to a ping")
		return b
	}
	s.pinged = !s.paused
	s.server.framesOut.Inc()
	return wire.Append(b, wire.Ping, nil)
}
