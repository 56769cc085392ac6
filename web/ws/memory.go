package ws

import (
	"math"
	"time"

	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/wire"
)

const (
	// sessionCost is what an idle socket takes in memory beside its watches, and
	// subscriptionCost what a watch does beside its watcher, in bytes.
	sessionCost, subscriptionCost = 2 << 10, 128
	// freeBytes is what a socket may take for what it reads, and for what is not read
	// of it, that is not charged.
	freeBytes = 2 << 10
	// commandCost is about what a command takes beside its text until it is answered.
	commandCost = 1 << 10
	// chargeStep is what is charged at once, so that a busy socket is not charged for
	// every command, nor for every answer.
	chargeStep = 16 << 10
	// messageTimeout is how long nothing of a message may come that was begun, and
	// shortTimeout takes its place while memory is short.
	messageTimeout, shortTimeout = time.Minute, 5 * time.Second
	// slowStart and slowRate say how soon a message must have come while memory is
	// short: as many bytes a second, after a while.
	slowStart, slowRate = 10 * time.Second, 64 << 10
)

// openHold opens the account of the socket, whose connection takes below bytes. It fails with a
// *ratelimit.FullError.
func (s *session) openHold(below int64) error {
	caller := ""
	if !s.exempt {
		caller = string(s.caller.appendTo(nil))
	}
	s.hold = s.server.opts.Budget.Open(caller)
	err := s.hold.Grow(ratelimit.Connections, sessionCost+below)
	if err != nil {
		s.hold.Close()
	}
	return err
}

// chargeRead charges what was read and is not answered. Where there is no room for the
// beginning of a message the socket is closed; where there is none for commands that
// are under way nothing is read until they are answered.
func (s *session) chargeRead() {
	s.noteMessage()
	// Asked once: what is answered meanwhile wakes the session, which charges less then.
	underWay := s.underWay()
	n := inSteps(s.in.Pending()+len(s.unread())+underWay, s.charged)
	if n == s.charged {
		s.tight = false
		return
	}
	err := s.hold.Set(ratelimit.Requests, int64(n))
	switch {
	case err == nil:
		s.charged, s.tight = n, false
	case underWay > 0:
		s.tight = true
	case s.in.Pending() > freeBytes:
		s.tight = false
		s.broken(closeOf(err))
	default:
		s.tight = false
	}
}

// closeOf returns what closes a socket because of err.
func closeOf(err error) *wire.Error {
	f := api.FailureOf(err)
	return &wire.Error{Code: f.Code.WebSocketClose(), Reason: string(f.Code) + ": " + f.Detail}
}

// inSteps returns what is to be charged for n bytes where charged were before: whole
// steps, and no fewer until half of them would do.
func inSteps(n, charged int) int {
	if n <= freeBytes {
		return 0
	}
	n = (n + chargeStep - 1) / chargeStep * chargeStep
	if n < charged && 2*n > charged {
		return charged
	}
	return n
}

// underWay returns what commands take in memory that are not answered.
func (s *session) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.work == nil {
		return 0
	}
	return s.mu.work.size
}

// chargeAnswersLocked charges the answers and events that the client has not read; mu
// is held. It fails with a *ratelimit.FullError.
func (s *session) chargeAnswersLocked() error {
	n := s.answersLocked()
	if n == s.mu.answers {
		return nil
	}
	err := s.hold.Set(ratelimit.Answers, int64(n))
	if err == nil {
		s.mu.answers = n
	}
	return err
}

// correctAnswersLocked is chargeAnswersLocked after the answers were moved: what they
// take was charged before.
func (s *session) correctAnswersLocked() {
	if n := s.answersLocked(); n != s.mu.answers {
		s.hold.Correct(ratelimit.Answers, int64(n))
		s.mu.answers = n
	}
}

// answersLocked returns what the answers take that are to be charged.
func (s *session) answersLocked() int {
	n := s.mu.unsent
	if k := s.mu.work; k != nil {
		n += cap(k.out) + cap(k.sending) + k.building + k.reading
	}
	return inSteps(n, s.mu.answers)
}

// room is the api.Room of the answer that the runner is about to write.
func (r *runner) room(n int) error {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	before := k.building
	k.building = n
	err := s.chargeAnswersLocked()
	if err != nil {
		k.building = before
		return err
	}
	r.reserved = true
	return nil
}

// readsRoom charges the values that a batch is about to read, of which cold bytes are not in
// memory, and its answer. It returns what is charged until the batch is answered.
func (r *runner) readsRoom(size, cold int) (n int, err error) {
	if size <= api.FreeBytes {
		return 0, nil
	}
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	k.reading += size + cold
	if err := s.chargeAnswersLocked(); err != nil {
		k.reading -= size + cold
		return 0, err
	}
	return size + cold, nil
}

// building has what readsRoom has charged stand for the frames that are written now.
func (r *runner) building(reads int) {
	if reads == 0 {
		return
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	k := r.s.workLocked()
	k.reading -= reads
	k.building += reads
	r.reserved = true
}

// fetchRoom charges a value that is about to be fetched.
func (r *runner) fetchRoom(size int) error {
	if size <= freeBytes {
		return nil
	}
	return r.room(cap(r.out) + size)
}

// noteMessage takes note of how far a message has arrived that is not complete.
func (s *session) noteMessage() {
	arrived := s.in.Arrived()
	if arrived == 0 {
		s.noteEnd()
		return
	}
	m := &s.activate().message
	if arrived == m.arrived {
		return
	}
	now := s.server.clock(time.Now())
	if m.arrived == 0 || arrived < m.arrived {
		m.began = now
	}
	m.arrived, m.last = arrived, now
	s.sock.Wake() // for the time when it is looked at again
}

// noteEnd takes note that a message is complete: what arrives next is another, even if as
// much of it has arrived.
func (s *session) noteEnd() {
	if s.active != nil {
		s.active.message = progress{}
	}
}

// endUnfinished closes a socket whose message does not go on. One that comes slowly but
// steadily is not cut, unless it takes memory that others wait for.
func (s *session) endUnfinished(at time.Duration) {
	if s.active == nil || s.active.message.arrived == 0 || s.stage != stageOpen {
		return
	}
	if !s.listens() { // nothing of it is read
		s.active.message.last = at
		return
	}
	m := &s.active.message
	switch {
	case at-m.last >= messageTimeout:
	case m.arrived <= freeBytes || !s.server.opts.Budget.Short():
		return
	case at-m.last >= shortTimeout:
	case at-m.began >= slowStart+time.Duration(m.arrived/slowRate)*time.Second:
	default:
		return
	}
	s.peerClosed = true
	s.close(api.CodeRequestTimeout.WebSocketClose(), "a message did not arrive in time; the bound is fixed")
}

// unfinishedAgain returns when to look again whether more of a message has arrived.
func (s *session) unfinishedAgain() time.Duration {
	switch {
	case s.active == nil || s.active.message.arrived == 0:
		return math.MaxInt64
	case s.active.message.arrived > freeBytes:
		return min(s.server.clock(time.Now())+shortTimeout, s.active.message.last+messageTimeout)
	}
	return s.active.message.last + messageTimeout
}
