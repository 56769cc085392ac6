package web

import (
	"context"
	"slices"
	"time"

	"keywatch/kv"
	"keywatch/kv/wake"
	"keywatch/web/api"
	"keywatch/web/reactor"
	"keywatch/web/wire"
)

// A socketWork is what a session has under way. It is guarded by the session's
// lock.
type socketWork struct {
	// inbox are the commands that were read, oldest first, size bytes in all;
	// inFlight counts those that are not answered yet.
	inbox    [][]byte
	size     int
	inFlight int
	// out are frames that wait to be sent after sending, of which the first sent
	// bytes are gone. Only out is kept short by maxAnswers.
	out, sending []byte
	sent         int
	// running says that a lane is at work, or that the session waits for one.
	running bool
	// waits ends when the session does; it is nil until a command waits for
	// something. stop ends it.
	waits context.Context
	stop  context.CancelFunc
	// more says that the inbox has grown while a lane is at work.
	more wake.Chan
}

func newSocketWork() *socketWork { return &socketWork{more: wake.New()} }

// idle reports whether nothing is under way.
func (k *socketWork) idle() bool { return k.inFlight == 0 && !k.running && k.unsent() == 0 }

// unsent returns how many bytes wait to be sent.
func (k *socketWork) unsent() int { return len(k.out) + len(k.sending) - k.sent }

// forget drops what cannot be sent any more, and ends waits. Commands that were
// read still run.
func (k *socketWork) forget() {
	k.out, k.sending, k.sent = nil, nil, 0
	k.end()
}

// end ends what waits.
func (k *socketWork) end() {
	if k.stop != nil {
		k.stop()
	}
}

// workLocked returns the session's work, which may be new; mu is held.
func (s *session) workLocked() *socketWork {
	if s.mu.work == nil {
		s.mu.work = newSocketWork()
	}
	return s.mu.work
}

// hasRoom reports whether fewer commands are in flight, and fewer bytes of
// answers wait, than these.
func (s *session) hasRoom(commands, answers int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.mu.work
	return k == nil || k.inFlight < commands && k.size < maxInFlightBytes && k.unsent() < answers
}

// quiet reports whether everything that was read is answered, and the answers
// are sent.
func (s *session) quiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.work == nil || s.mu.work.idle()
}

// enqueue hands a command to the lane.
func (s *session) enqueue(m *wire.Message) {
	text := m.Payload
	if !m.Owned {
		text = slices.Clone(text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	k.inbox = append(k.inbox, text)
	k.size += len(text)
	k.inFlight++
	s.kickLocked(k)
}

// kickLocked sees to it that a lane looks at the inbox; mu is held.
func (s *session) kickLocked(k *socketWork) {
	if k.running {
		k.more.Wake()
		return
	}
	k.running = true
	s.server.sockets.run(s)
}

// control sends a control frame among the answers.
func (s *session) control(op wire.Op, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	k.out = wire.Append(k.out, op, payload)
	s.server.sockets.framesOut.Inc()
	s.sock.Wake()
}

// takeAnswers appends answers to b, about a piece of them. whole is false if it
// ends within one, so that nothing else may follow.
func (s *session) takeAnswers(b []byte) (_ []byte, whole, waiting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.mu.work
	if k == nil {
		return b, true, false
	}
	if k.sent == len(k.sending) {
		k.sending, k.out, k.sent = k.out, k.sending[:0], 0
	}
	n := min(len(k.sending)-k.sent, max(0, reactor.Piece-len(b)))
	b = append(b, k.sending[k.sent:k.sent+n]...)
	if k.sent += n; k.sent == len(k.sending) {
		if cap(k.sending) > keepAnswers {
			k.sending = nil
		}
		k.sending, k.sent = k.sending[:0], 0
	}
	if len(k.inbox) > 0 && !k.running && k.unsent() < maxAnswers {
		s.kickLocked(k) // the lane had stopped for want of room
	}
	if k.idle() {
		k.end()
		s.mu.work = nil
	}
	return b, k.sent == len(k.sending), len(k.out) > 0
}

// keepAnswers is the largest buffer that a session with commands keeps.
const keepAnswers = 32 << 10

// A lane runs the commands of one session in their order: reads at once, writes
// by giving each its place in the log and answering when it is applied, so that
// many are under way and reads overtake them.
type lane struct {
	s *session
	// writes are those begun and not answered, in order.
	writes []socketWrite
	// out are frames to be handed over, which answer so many commands.
	out      []byte
	answered int
	// start is where the frame that is being written begins.
	start int
}

// A socketWrite is a write under way. It is answered by finish, after those
// before it.
type socketWrite struct {
	id      uint64
	pending kv.Pending
	ctx     context.Context
	// command and finish are for the result; err is what it failed with at once.
	command *kv.Command
	finish  func(l *lane, id uint64, c *kv.Command, r *kv.Result) error
	batch   bool
	err     error
}

// runLane runs what is in the inbox, and what comes while that is under way.
func (s *session) runLane() {
	l := &lane{s: s}
	for {
		l.settle()
		text, end := l.take()
		switch {
		case text != nil:
			l.run(text)
		case end:
			return
		default:
			l.wait()
		}
	}
}

// flushAt is how many bytes of frames a lane hands over at once, at least,
// while there are commands to run.
const flushAt = 16 << 10

// take returns the next command, if there is one and room for its answer. If
// there is neither that nor a write under way, the lane has ended.
func (l *lane) take() (text []byte, end bool) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	next := len(k.inbox) > 0 && (k.unsent()+len(l.out) < maxAnswers || s.gone.Load())
	if !next || len(l.out) >= flushAt {
		l.flushLocked(k)
	}
	switch {
	case next:
		text = k.inbox[0]
		k.inbox[0] = nil
		if k.inbox = k.inbox[1:]; len(k.inbox) == 0 {
			k.inbox = nil
		}
		k.size -= len(text)
		if text == nil {
			text = []byte{}
		}
	case len(l.writes) == 0:
		k.running, end = false, true
		s.wake() // there may be room to read on, or nothing left to keep
	}
	return text, end
}

// flushLocked hands over what the lane has to say; the session's lock is held.
func (l *lane) flushLocked(k *socketWork) {
	if l.answered == 0 {
		return
	}
	k.inFlight -= l.answered
	if !l.s.gone.Load() {
		k.out = append(k.out, l.out...)
	}
	l.s.server.sockets.framesOut.Add(int64(l.answered))
	l.answered = 0
	if l.out = l.out[:0]; cap(l.out) > keepAnswers {
		l.out = nil
	}
	l.s.wake()
}

// settle answers the writes at the head of the queue that are applied.
func (l *lane) settle() {
	done := 0
	for i := range l.writes {
		w := &l.writes[i]
		if w.pending != nil && !isClosed(w.pending.Done()) && w.ctx.Err() == nil {
			break
		}
		l.guard(&w.id, func() error { return l.settleOne(w) })
		done++
	}
	l.writes = slices.Delete(l.writes, 0, done)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (l *lane) settleOne(w *socketWrite) error {
	switch {
	case w.err != nil:
		return w.err
	case !isClosed(w.pending.Done()):
		return kv.ErrOutcomeUnknown
	}
	result, err := w.pending.Result()
	store := l.s.server.opts.Store
	if err != nil {
		return api.WithLimit(err, store.Limits())
	}
	if err := api.Outcome(w.command, &result, store.State().Params, w.batch); err != nil {
		return err
	}
	return w.finish(l, w.id, w.command, &result)
}

// wait waits for the first write, for another command, or until patience ends.
func (l *lane) wait() {
	w := &l.writes[0]
	l.s.mu.Lock()
	more := l.s.workLocked().more
	l.s.mu.Unlock()
	select {
	case <-w.pending.Done():
	case <-more:
	case <-w.ctx.Done():
	}
}

// patience returns what a command waits for the log under.
func (l *lane) patience() context.Context { return l.s.server.waits.Context(time.Now()) }
