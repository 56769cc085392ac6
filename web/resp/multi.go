package resp

import (
	"errors"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

// maxQueuedBytes bounds the arguments of the commands that one transaction has queued.
const maxQueuedBytes = 8 << 20

// A transaction is what MULTI collects.
type transaction struct {
	queued  []queued
	bytes   int
	spoiled bool
}

type queued struct {
	cmd  *command
	args [][]byte
}

func directMulti(s *session, _ [][]byte) []byte {
	if s.multi != nil {
		s.fail(refusal("ERR MULTI calls can not be nested"))
		return nil
	}
	s.multi = new(transaction)
	return textOK
}

func directDiscard(s *session, _ [][]byte) []byte {
	if s.multi == nil {
		return wire.AppendError(nil, "ERR DISCARD without MULTI")
	}
	s.multi = nil
	s.unwatch()
	s.noteQueued()
	return textOK
}

// queue adds a command to the transaction.
func (s *session) queue(cmd *command, args [][]byte) {
	t := s.multi
	if err := s.queueable(cmd, args); err != nil {
		s.fail(err)
		return
	}
	for _, a := range args {
		t.bytes += len(a)
	}
	if len(t.queued) >= s.server.opts.Door.Limits().Ops || t.bytes > maxQueuedBytes {
		t.queued = nil
		s.fail(refusef("ERR too many commands in one transaction: up to %d, of %d bytes together", s.server.opts.Door.Limits().Ops, maxQueuedBytes))
		return
	}
	if !t.spoiled {
		t.queued = append(t.queued, queued{cmd, cloneAll(args)})
		s.noteQueued()
	}
	s.say(textQueued)
}

// queueable returns why a command cannot be part of a transaction.
func (s *session) queueable(cmd *command, args [][]byte) error {
	if cmd.unqueued || cmd.compile == nil && cmd.direct == nil {
		return refusef("ERR %s is not supported in a transaction", cmd.name)
	}
	for _, key := range cmd.keysOf(args) {
		if err := kv.CheckKey(string(key)); err != nil {
			return err
		}
		if cmd.writes() && len(key) > len(kv.ReservedPrefix) && string(key[:len(kv.ReservedPrefix)]) == kv.ReservedPrefix {
			return errReserved
		}
	}
	return nil
}

func (s *session) noteQueued() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.queued = -1
	if s.multi != nil {
		s.mu.queued = int32(len(s.multi.queued))
	}
}

// An exec is a transaction that is being run.
type exec struct {
	c       *call
	queued  []queued
	watched []kv.Check
	// parts are what commands of the store have become, plans how they are rendered, and at
	// the places of their replies.
	command kv.Command
	plans   []plan
	calls   []*call
	part    []int // of each command, -1 if it is text
	// flushed, if not nil, is called when every key was deleted.
	flushed func()
	direct  []bool
}

func runExec(s *session, cmd *command, args [][]byte) {
	t := s.multi
	if t == nil {
		s.say(wire.AppendError(nil, "ERR EXEC without MULTI"))
		return
	}
	watched := s.watched
	s.multi = nil
	s.unwatch()
	s.noteQueued()
	if t.spoiled {
		s.say(wire.AppendError(nil, "EXECABORT Transaction discarded because of previous errors."))
		return
	}
	x := &exec{c: s.call(cmd, args), queued: t.queued, watched: watched}
	for _, q := range x.queued {
		if q.cmd.slow != nil && q.cmd.compile != nil { // it deletes every key
			x.flushed = s.server.tracking.flushing()
		}
	}
	x.c.now = true
	for i := range x.queued {
		s.trackReads(x.queued[i].cmd, x.queued[i].args)
		x.direct = append(x.direct, x.queued[i].cmd.direct != nil)
		if s.ahead > 0 && x.queued[i].cmd.rewrites {
			x.c.waits = true
		}
	}
	texts := make([][]byte, len(x.queued))
	for i, q := range x.queued {
		if q.cmd.direct != nil && q.cmd.compile == nil {
			texts[i] = s.directly(&q)
		}
	}
	x.start(texts)
}

// start makes one command of all that were queued, and runs it.
func (x *exec) start(texts [][]byte) {
	s := x.c.s
	if !x.c.waits {
		x.compile(texts)
	}
	switch {
	case x.c.waits && s.ahead == 0:
		x.waitFor(texts)
	case x.c.waits:
		x.again(texts)
	case x.command.ReadOnly() && s.ahead == 0:
		x.read(texts)
	default:
		x.begin(texts)
	}
}

// waitFor is session.waitFor for a transaction.
func (x *exec) waitFor(texts [][]byte) {
	b := x.c.s.mustWait()
	if b == nil {
		x.again(texts)
		return
	}
	x.c.waits = false
	x.c.s.park(b, []byte("exec"), func() { x.start(texts) })
}

// read runs a transaction that only reads.
func (x *exec) read(texts [][]byte) {
	s := x.c.s
	if b := s.mustWait(); b != nil {
		s.park(b, []byte("exec"), func() { x.read(texts) })
		return
	}
	result, err := s.doNow(&x.command, false)
	if err == kv.ErrWouldWait {
		x.again(texts)
		return
	}
	s.push(reply{rest: &rest{render: x.renderer(texts), result: result, err: err}})
}

// begin gives the transaction its place in the log.
func (x *exec) begin(texts [][]byte) {
	s, k := x.c.s, x.command
	k.Logged = true
	begun, err := s.view().StartNow(&k)
	switch {
	case err == nil:
		forget(&k)
		r := &rest{render: x.renderer(texts)}
		if len(k.Reads) > 0 {
			s.mayRepeat(r, func() { x.again(texts) })
		}
		s.follow(begun, r)
	case err == kv.ErrWouldWait || err == kv.ErrQueueFull || errors.Is(err, kv.ErrLevel):
		x.again(texts)
	default:
		s.fail(err)
	}
}

// directly runs a command of a transaction that is none of the store, if the caller still may.
func (s *session) directly(q *queued) []byte {
	if err := s.may(q.cmd, q.args); err != nil {
		s.denied(q.cmd, err)
		return wire.AppendError(nil, s.server.explain(err))
	}
	return q.cmd.direct(s, q.args)
}

// again runs the transaction on a runner, which may wait.
func (x *exec) again(texts [][]byte) {
	x.c.s.job(func() reply {
		for range rounds {
			x.c.now, x.c.waits = false, false
			x.compile(texts)
			k := x.command
			result, err := x.c.do(&k)
			if err == nil && result.Outcome == kv.Stale || errors.Is(err, kv.ErrLevel) && x.lessen() {
				continue
			}
			return reply{rest: &rest{render: x.renderer(texts), result: result, err: err}}
		}
		return reply{text: wire.AppendError(nil, string(errContended))}
	})
}

// lessen has the transaction do with conditions that older members of the cluster know, and reports
// whether that changes it.
func (x *exec) lessen() (changed bool) {
	x.watched, changed = lesser(x.watched)
	return changed
}

// compile makes one command of all that were queued.
func (x *exec) compile(texts [][]byte) {
	x.command, x.plans, x.calls, x.part = kv.Command{Parts: []kv.Part{}, Span: x.c.span}, nil, nil, nil
	x.command.Checks = append(x.command.Checks, x.watched...)
	w := new(view)
	for i, q := range x.queued {
		at := -1
		var p plan
		c := *x.c
		c.cmd, c.args, c.view, c.reads = q.cmd, q.args, w, x.command.Reads
		if q.cmd.compile != nil {
			var err error
			if p, err = q.cmd.compile(&c); c.waits {
				x.c.waits = true
				return
			}
			if texts[i] = nil; err != nil {
				texts[i] = wire.AppendError(nil, c.explain(err))
			} else if p.constant() {
				texts[i] = p.text
			}
			x.command.Reads = c.reads
			x.command.Fences = append(x.command.Fences, p.fences...)
			x.command.Checks = append(x.command.Checks, p.whole...)
			if p.idem != "" {
				x.command.Idem = c.idemOf(p.idem, x.queued)
			}
			if texts[i] == nil {
				at = len(x.command.Parts)
				x.command.Parts = append(x.command.Parts, p.part())
				w.parts = x.command.Parts
			}
		}
		x.plans, x.calls, x.part = append(x.plans, p), append(x.calls, &c), append(x.part, at)
	}
}

// renderer returns what renders the result of the transaction.
func (x *exec) renderer(texts [][]byte) func([]byte, *kv.Result, error) []byte {
	plans, calls, part := x.plans, x.calls, x.part
	return func(b []byte, r *kv.Result, err error) []byte {
		v := x.c.v
		if x.flushed != nil {
			defer x.flushed()
		}
		switch {
		case err != nil:
			v.failed.Inc()
			return wire.AppendError(b, v.explain(err))
		case r.Outcome == kv.CheckFailed:
			return x.c.proto.NilArray(b)
		case r.Outcome == kv.FenceLost:
			return wire.AppendError(b, "FENCELOST "+x.command.Fences[r.Failed].Lock)
		case r.Outcome == kv.Stale:
			return wire.AppendError(b, string(errContended))
		case r.Outcome == kv.AuthMoved:
			return wire.AppendError(b, string(errMoved))
		case r.Outcome == kv.IdemMismatch:
			return wire.AppendError(b, "ERR idempotency_mismatch: the key was used for a different transaction")
		case r.Outcome == kv.IdemFull || r.Outcome == kv.IdemCallerFull:
			return wire.AppendError(b, "OOM memory_full")
		}
		b = wire.AppendArray(b, len(plans))
		for i := range plans {
			if part[i] < 0 {
				b = append(b, texts[i]...)
				continue
			}
			b = calls[i].renderPart(b, &r.Parts[part[i]], 0, plans[i].render)
		}
		return b
	}
}
