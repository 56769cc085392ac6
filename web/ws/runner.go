package ws

import (
	"context"
	"slices"

	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/kv/wake"
	"keywatch/web/api"
	"keywatch/web/reactor"
	"keywatch/web/wire"
)

// A work is what a session has under way. It is guarded by the session's
// lock.
type work struct {
	// inbox are the commands that were read, oldest first. inFlight counts those that
	// are not answered yet, and size is what they take in memory, in bytes.
	inbox    [][]byte
	size     int
	inFlight int
	// out are frames that wait to be sent after sending, of which the first sent
	// bytes are gone. Only out is kept short by maxAnswers. building is what the runner
	// has charged for the frames that it has not handed over, reading for the values that
	// batches under way read, and for their answers.
	out, sending []byte
	sent         int
	building     int
	reading      int
	// running says that a runner is at work, or that the session waits for one.
	running bool
	// waits ends when the session does; it is nil until a command waits for
	// something. stop ends it.
	waits context.Context
	stop  context.CancelFunc
	// more says that the inbox has grown while a runner is at work.
	more wake.Chan
}

func newWork() *work { return &work{more: wake.New()} }

// idle reports whether nothing is under way.
func (k *work) idle() bool { return k.inFlight == 0 && !k.running && k.unsent() == 0 }

// unsent returns how many bytes wait to be sent.
func (k *work) unsent() int { return len(k.out) + len(k.sending) - k.sent }

// forget drops what cannot be sent any more, and ends waits. Commands that were
// read and may change something still run.
func (k *work) forget() {
	k.out, k.sending, k.sent = nil, nil, 0
	k.end()
}

// end ends what waits.
func (k *work) end() {
	if k.stop != nil {
		k.stop()
	}
}

// workLocked returns the session's work, which may be new; mu is held.
func (s *session) workLocked() *work {
	if s.mu.work == nil {
		s.mu.work = newWork()
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

// enqueue hands a command to the runner.
func (s *session) enqueue(m *wire.Message) {
	text := m.Payload
	if !m.Owned {
		text = slices.Clone(text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	k.inbox = append(k.inbox, text)
	k.size += len(text) + commandCost
	k.inFlight++
	s.wakeRunnerLocked(k)
}

// wakeRunnerLocked sees to it that a runner looks at the inbox; mu is held.
func (s *session) wakeRunnerLocked(k *work) {
	if k.running {
		k.more.Wake()
		return
	}
	k.running = true
	s.server.runners.Run(s)
}

// control sends a control frame among the answers.
func (s *session) control(op wire.Op, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	k.out = wire.Append(k.out, op, payload)
	s.server.framesOut.Inc()
	s.sock.Wake()
}

// takeAnswers appends answers to b, about a piece of them. whole is false if it
// ends within one, so that nothing else may follow.
func (s *session) takeAnswers(b []byte) (_ []byte, whole, waiting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.mu.work
	if s.mu.taken = 0; k == nil {
		return b, true, false
	}
	if k.sent == len(k.sending) {
		k.sending, k.out, k.sent = k.out, k.sending[:0], 0
	}
	n := min(len(k.sending)-k.sent, max(0, reactor.Piece-len(b)))
	b = append(b, k.sending[k.sent:k.sent+n]...)
	s.mu.taken = n
	if k.sent += n; k.sent == len(k.sending) {
		if cap(k.sending) > keepAnswers {
			k.sending = nil
		}
		k.sending, k.sent = k.sending[:0], 0
		s.correctAnswersLocked()
	}
	if len(k.inbox) > 0 && !k.running && k.unsent() < maxAnswers {
		s.wakeRunnerLocked(k) // the runner had stopped for want of room
	}
	if k.idle() {
		k.end()
		s.mu.work = nil
		s.correctAnswersLocked()
	}
	return b, k.sent == len(k.sending), len(k.out) > 0
}

// keepAnswers is the largest buffer that a session with commands keeps.
const keepAnswers = 32 << 10

// A runner runs the commands of one session in their order: reads at once, writes
// by giving each its place in the log and answering when it is applied, so that
// many are under way and reads overtake them.
type runner struct {
	s *session
	// writes are those begun and not answered, in order.
	writes []write
	// out are frames to be handed over, which answer so many commands. done is what
	// commands took in memory that are done with: a lock that is waited for is, and is
	// answered by a runner of its own.
	out      []byte
	answered int
	done     int
	// reserved says that room was asked for frames that are not handed over.
	reserved bool
	// start is where the frame that is being written begins.
	start int
}

// A write is a write under way. It is answered by finish, after those
// before it.
type write struct {
	id      uint64
	pending kv.Pending
	ctx     context.Context
	// command and finish are for the result; err is what it failed with at once.
	command *kv.Command
	finish  func(r *runner, id uint64, c *kv.Command, result *kv.Result) error
	batch   bool
	err     error
	// size is what the command takes in memory, reads what is charged for the values that
	// it reads and for its answer.
	size, reads int
}

// runCommands runs what is in the inbox, and what comes while that is under way.
func (s *session) runCommands() {
	r := &runner{s: s}
	for {
		r.settle()
		text, end := r.take()
		switch {
		case text != nil:
			r.run(text)
		case end:
			return
		default:
			r.wait()
		}
	}
}

// flushAt is how many bytes of frames a runner hands over at once, at least,
// while there are commands to run.
const flushAt = 16 << 10

// take returns the next command, if there is one and room for its answer. If
// there is neither that nor a write under way, the runner has ended.
func (r *runner) take() (text []byte, end bool) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.workLocked()
	next := len(k.inbox) > 0 && (k.unsent()+len(r.out) < maxAnswers || s.gone.Load())
	if !next || len(r.out) >= flushAt {
		r.flushLocked(k)
	}
	switch {
	case next:
		text = k.inbox[0]
		k.inbox[0] = nil
		if k.inbox = k.inbox[1:]; len(k.inbox) == 0 {
			k.inbox = nil
		}
		if text == nil {
			text = []byte{}
		}
	case len(r.writes) == 0:
		k.running, end = false, true
		s.wake() // there may be room to read on, or nothing left to keep
	}
	return text, end
}

// flushLocked hands over what the runner has to say; the session's lock is held.
func (r *runner) flushLocked(k *work) {
	if r.answered == 0 && r.done == 0 {
		return
	}
	k.inFlight -= r.answered
	k.size -= r.done
	r.done = 0
	r.handOutLocked(k)
	r.s.server.framesOut.Add(int64(r.answered))
	r.answered = 0
	r.s.wake()
}

// handOutLocked hands over the frames of the runner, and takes a buffer for the next.
func (r *runner) handOutLocked(k *work) {
	switch {
	case r.s.gone.Load():
		r.out = r.out[:0]
	case len(k.out) == 0:
		k.out, r.out = r.out, k.out[:0]
	default:
		k.out, r.out = append(k.out, r.out...), r.out[:0]
	}
	if cap(r.out) > keepAnswers {
		r.out = nil
	}
	if r.reserved {
		k.building, r.reserved = 0, false
	}
	r.s.correctAnswersLocked()
}

// settle answers the writes at the head of the queue that are applied.
func (r *runner) settle() {
	done := 0
	for i := range r.writes {
		w := &r.writes[i]
		if w.pending != nil && !isClosed(w.pending.Done()) && w.ctx.Err() == nil {
			break
		}
		r.building(w.reads)
		r.guard(&w.id, func() error {
			err := r.settleOne(w)
			endSpan(w.command.Span, err)
			return err
		})
		r.done += w.size
		done++
	}
	r.writes = slices.Delete(r.writes, 0, done)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (r *runner) settleOne(w *write) error {
	switch {
	case w.err != nil:
		return w.err
	case !isClosed(w.pending.Done()):
		return kv.ErrOutcomeUnknown
	}
	result, err := w.pending.Result()
	door := r.s.server.opts.Door
	if err != nil {
		return api.WithLimit(err, door.Limits())
	}
	if err := api.Outcome(w.command, &result, door.Params, w.batch); err != nil {
		return err
	}
	return w.finish(r, w.id, w.command, &result)
}

// wait waits for the first write, for another command, or until its deadline.
func (r *runner) wait() {
	w := &r.writes[0]
	r.s.mu.Lock()
	more := r.s.workLocked().more
	r.s.mu.Unlock()
	select {
	case <-w.pending.Done():
	case <-more:
	case <-w.ctx.Done():
	}
}

// deadline returns what a command waits for the log, and reads values, under.
func (r *runner) deadline(c *command) context.Context {
	return trace.With(r.s.server.opts.Deadlines.Context(), c.cmd.Span)
}
