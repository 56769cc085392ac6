package resp

import (
	"bytes"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/resp/wire"
)

// dispatch runs the command that was sent.
func (s *session) dispatch(q *wire.Request) {
	if browser(q) {
		s.server.opts.Logger.Warn("connection closed: it speaks HTTP, and this port is for clients of Redis", "peer", s.peer)
		s.closing, s.skip, s.replies, s.shown, s.held = true, 0, replies{}, 0, 0
		return
	}
	cmd := s.server.lookup(q.Args[0])
	if b := s.awaitsUser(cmd); b != nil {
		again := wire.Request{Args: cloneAll(q.Args), Inline: q.Inline, TooLarge: q.TooLarge}
		s.park(b, again.Args[0], func() { s.dispatch(&again) })
		return
	}
	defer s.passSkip()
	defer s.endCaching(cmd, q.Args)
	if err := s.admit(cmd, q); err != nil {
		s.denied(cmd, err)
		s.fail(err)
		return
	}
	s.server.calls[cmd.index].Inc()
	s.note(cmd, q.Args)
	if s.multi != nil && !cmd.immediate {
		s.queue(cmd, q.Args)
		return
	}
	s.trackReads(cmd, q.Args)
	if s.server.opts.Tracer != nil {
		s.startSpan(cmd)
	}
	s.runCommand(cmd, q.Args)
	endSpan(s.takeSpan(), nil)
}

// admit returns why a command is refused, nil if it is not.
func (s *session) admit(cmd *command, q *wire.Request) error {
	args := q.Args
	switch {
	case cmd == nil:
		return unknownCommand(args)
	case cmd.arity > 0 && len(args) != cmd.arity || len(args) < -cmd.arity:
		return wrongArity(cmd.name)
	case q.TooLarge && s.unproved:
		return errNoAuth
	case q.TooLarge:
		return refusal(s.server.tooLarge())
	case s.proto == wire.RESP2 && s.subscriptions() > 0 && !allowedSubscribed(cmd.name):
		return refusef("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", cmd.name)
	}
	if err := s.charge(cmd); err != nil {
		return err
	}
	if err := s.server.names.store(cmd, args); err != nil {
		return err
	}
	return s.may(cmd, args)
}

// charge counts a command against its caller's rate.
func (s *session) charge(cmd *command) error {
	limiter := s.server.opts.Limiter
	class := ratelimit.Read
	switch {
	case limiter == nil || cmd.group == "connection":
		return nil
	case cmd.watches:
		class = ratelimit.Watch
	case cmd.writes():
		class = ratelimit.Write
	}
	name, limited := s.limited()
	if !limited {
		return nil
	}
	if d := limiter.Allow(name, class, 1); d.Limit != 0 && !d.OK {
		return api.RateLimited(d, class)
	}
	return nil
}

// fail answers with err, and spoils the transaction that is being collected.
func (s *session) fail(err error) {
	if s.multi != nil {
		s.multi.spoiled = true
	}
	s.server.failed.Inc()
	s.say(wire.AppendError(nil, s.server.explain(err)))
}

// note remembers what the connection does, for CLIENT LIST.
func (s *session) note(cmd *command, args [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.command, s.mu.sub = int16(cmd.index)+1, int16(cmd.sub(args))+1
	s.mu.lastActive = s.server.since()
}

// passSkip ends CLIENT REPLY SKIP after the command that it was for.
func (s *session) passSkip() {
	if s.skip > 0 {
		s.skip--
	}
}

// browser reports whether what was sent is no command of a client of Redis but of one that speaks
// HTTP: a page on the web could have it send commands as the body of a request.
func browser(q *wire.Request) bool {
	name := q.Args[0]
	if bytes.EqualFold(name, []byte("POST")) || bytes.EqualFold(name, []byte("Host:")) {
		return true
	}
	if !q.Inline {
		return false
	}
	if len(name) > 1 && name[0] == 0x16 && name[1] == 0x03 { // the beginning of TLS
		return true
	}
	last := q.Args[len(q.Args)-1]
	if bytes.HasPrefix(last, []byte("HTTP/")) {
		return true
	}
	switch string(name) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE":
		return len(q.Args) > 1 && bytes.HasPrefix(q.Args[1], []byte("/"))
	}
	return false
}

// runCommand runs a command that is not queued.
func (s *session) runCommand(cmd *command, args [][]byte) {
	switch {
	case cmd.run != nil:
		cmd.run(s, cmd, args)
	case cmd.slow != nil:
		s.runSlow(cmd, args)
	case cmd.direct != nil:
		text := cmd.direct(s, args)
		switch {
		case text == nil:
		case cmd.group == "pubsub": // these are messages, which CLIENT REPLY OFF does not silence
			s.enter(reply{text: text})
		default:
			s.say(text)
		}
	default:
		s.runPlan(cmd, args)
	}
}

// runPlan runs a command that is a part of a command of the store.
func (s *session) runPlan(cmd *command, args [][]byte) {
	if cmd.rewrites && s.ahead > 0 {
		s.runAgain(cmd, args)
		return
	}
	w := s.work(cmd, args)
	w.now = true
	p, err := cmd.compile(&w.call)
	switch {
	case w.waits:
		s.waitFor(cmd, args)
	case err != nil:
		s.fail(err)
	case p.constant():
		s.say(p.text)
	case !p.writes() && s.ahead == 0:
		s.read(cmd, args, w, &p)
	default:
		s.begin(cmd, args, w, &p)
	}
	w.release()
}

// waitFor runs a command that could not be made without a wait: for a barrier without a goroutine, and for
// values that are not in memory on a runner.
func (s *session) waitFor(cmd *command, args [][]byte) {
	b := s.mustWait()
	if b == nil {
		s.runAgain(cmd, args)
		return
	}
	kept := cloneAll(args)
	s.park(b, kept[0], func() { s.runPlan(cmd, kept) })
}

// read answers a command that only reads, if it need not wait.
func (s *session) read(cmd *command, args [][]byte, w *work, p *plan) {
	if b := s.mustWait(); b != nil {
		kept := cloneAll(args)
		s.park(b, kept[0], func() { s.runPlan(cmd, kept) })
		return
	}
	if p.value {
		e, err := s.getNow(p.ops[0].Key)
		switch {
		case err == kv.ErrWouldWait:
			s.runAgain(cmd, args)
		case err != nil:
			s.fail(err)
		case w.overdue(e):
			s.begin(cmd, args, w, p)
		case e == nil:
			s.say(w.proto.Nil(nil))
		default:
			s.push(reply{entry: e})
		}
		return
	}
	p.command(&w.command, &w.call)
	result, err := s.doNow(&w.command, p.meta)
	if err == kv.ErrWouldWait {
		s.runAgain(cmd, args)
		return
	}
	for i := range result.Ops {
		if w.overdue(result.Ops[i].Entry) {
			s.begin(cmd, args, w, p)
			return
		}
	}
	r := w.reply(p)
	r.result, r.err = result, err
	s.push(reply{rest: r})
}

// overdue reports whether a version has ended by the clock of the log, and no entry has said so
// yet. A read that has its place in the log sees that it has.
func (c *call) overdue(e *kv.Entry) bool {
	return e != nil && e.Deadline() != 0 && e.Deadline() < c.logTime()
}

// begin gives a command its place in the log.
func (s *session) begin(cmd *command, args [][]byte, w *work, p *plan) {
	k := &w.command
	p.command(k, &w.call)
	k.Logged = true
	begun, err := s.view().StartNow(k)
	switch err {
	case nil:
	case kv.ErrWouldWait, kv.ErrQueueFull:
		s.runAgain(cmd, args)
		return
	default:
		s.fail(err)
		return
	}
	forget(k)
	r := w.reply(p)
	if len(w.reads) > 0 {
		kept := cloneAll(args)
		s.mayRepeat(r, func() { s.runAgain(cmd, kept) })
	}
	s.follow(begun, r)
}

// mayRepeat has again called if what r was made from has changed before it was applied. What comes behind
// it has to see what it does, so nothing more is parsed until that is known.
func (s *session) mayRepeat(r *rest, again func()) {
	r.repeat, s.blocked = again, true
}

// follow queues the reply of what was begun.
func (s *session) follow(begun auth.Started, r *rest) {
	r.begun, r.pending, r.until, r.span = true, begun, s.server.deadline(), s.takeSpan()
	s.ahead++
	s.last = begun.Pending // without what is reused once it is answered
	s.push(reply{rest: r})
	begun.Notify(s)
}

// forget lets go of values, which the log has.
func forget(k *kv.Command) {
	for _, ops := range [2][]kv.Op{k.Ops, k.Else} {
		for i := range ops {
			ops[i].Value = nil
		}
	}
	for i := range k.Parts {
		for _, ops := range [2][]kv.Op{k.Parts[i].Ops, k.Parts[i].Else} {
			for j := range ops {
				ops[j].Value = nil
			}
		}
	}
}

const (
	// rounds is how often a command that reads before it writes is made again because what it
	// read has changed.
	rounds = 16
	// queueWait is how long a command waits for a place in the queue of the log.
	queueWait = time.Second
)

// runAgain runs a command of a plan on a runner, which may wait.
func (s *session) runAgain(cmd *command, args [][]byte) {
	args = cloneAll(args)
	c := s.call(cmd, args)
	s.job(func() reply {
		for range rounds {
			c.reads, c.now, c.waits = nil, false, false
			p, err := cmd.compile(c)
			if err != nil {
				return reply{text: wire.AppendError(nil, c.explain(err))}
			}
			if p.constant() {
				return reply{text: p.text}
			}
			k := new(kv.Command)
			p.command(k, c)
			result, err := c.do(k)
			if err == nil && result.Outcome == kv.Stale {
				continue
			}
			return reply{rest: &rest{call: c, shape: p.render, result: result, err: err}}
		}
		return reply{text: wire.AppendError(nil, string(errContended))}
	})
}

// do runs a command of the store. For a place in a full queue it waits a while.
func (c *call) do(k *kv.Command) (kv.Result, error) {
	until := time.Now().Add(queueWait)
	for {
		result, err := c.s.view().Do(c.deadline(), k)
		if err != kv.ErrQueueFull || time.Now().After(until) {
			if err != nil && k.ReadOnly() {
				err = api.ReadError(err)
			}
			return result, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
