package resp

import (
	"context"
	"errors"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/web/reactor"
	"keywatch/web/resp/wire"
)

// A reply is kept as what it is made of, and rendered when there is room for it.
type reply struct {
	// text is the reply itself.
	text []byte
	// entry, if not nil, is a version whose value is the reply.
	entry *kv.Entry
	// rest is what is not one of these.
	rest *rest
	// then, if not nil, is called when the reply of a job arrives.
	then func()
}

// A rest is a reply that is not known yet, or that is made of more.
type rest struct {
	// pending is the command, until its result is known.
	pending auth.Started
	begun   bool
	// until is when the client is told that the outcome is not known.
	until context.Context
	// call and shape make the reply of the result of a plan, render that of a transaction.
	call   *call
	shape  func(b []byte, c *call, r *kv.PartResult) []byte
	render func(b []byte, r *kv.Result, err error) []byte
	// work, if not nil, is what r is a part of, and is released with it.
	work *work
	// resolving is set while a goroutine reads values that are not in memory, known once
	// result and err are set.
	resolving, known bool
	result           kv.Result
	part             kv.PartResult // what is shown of result
	err              error
	// repeat, if not nil, is called where what the command was made from has changed; the session is
	// blocked until it is known whether it has.
	repeat func()
	// quiet says that nothing is to be sent.
	quiet bool
	// span, if not nil, ends with it.
	span *trace.Span
}

// replyCost is about what a reply takes in memory beside its text, in bytes.
const replyCost = 64

// replies is a queue.
type replies struct {
	list []reply
	head int
}

func (q *replies) len() int { return len(q.list) - q.head }

func (q *replies) pop() {
	q.list[q.head] = reply{}
	if q.head++; q.head == len(q.list) {
		if cap(q.list) > 64 {
			q.list = nil
		}
		q.list, q.head = q.list[:0], 0
	} else if q.head > 1024 && q.head*2 > len(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
}

// reset makes q new again, but for room that is small. It is empty.
func (q *replies) reset() {
	if q.head = 0; cap(q.list) > 64 {
		q.list = nil
	}
	q.list = q.list[:0]
}

// size returns about what r shows, in bytes.
func (r *reply) size() int {
	if r.entry != nil {
		return r.entry.Size()
	}
	return len(r.text)
}

// say queues a reply that is known.
func (s *session) say(text []byte) { s.push(reply{text: text}) }

// push queues a reply, unless the client has asked for none.
func (s *session) push(r reply) {
	if s.silent() {
		if r.rest == nil {
			return
		}
		r.rest.quiet = true // what it writes is waited for all the same
	}
	s.enter(r)
}

// enter queues a reply whatever the client has asked for.
func (s *session) enter(r reply) {
	s.replies.list = append(s.replies.list, r)
	s.shown += r.size()
	s.held += replyCost + len(r.text)
	if err := s.chargeAnswers(); err != nil {
		s.abort(err)
	}
	if s.replies.len() > maxReplies || s.shown > maxShown {
		s.server.opts.Logger.Warn("connection closed", "err", errFlooded, "replies", s.replies.len(), "bytes", s.shown, "peer", s.peer)
		s.abort(errFlooded)
	}
}

// render appends the replies that are known, in order, about a piece of them. It reports
// whether more are.
func (s *session) render(b []byte) (_ []byte, more bool) {
	for s.replies.len() > 0 {
		if len(b) >= reactor.Piece {
			return b, true
		}
		r := &s.replies.list[s.replies.head]
		switch {
		case r.rest != nil:
			var ok bool
			if b, ok = s.renderRest(b, r.rest); !ok {
				return b, false
			}
		case r.entry != nil:
			b = wire.AppendBulk(b, r.entry.Value())
		default:
			b = append(b, r.text...)
		}
		s.shown -= r.size()
		s.held -= replyCost + len(r.text)
		s.replies.pop()
	}
	_ = s.chargeAnswers() // it is less than it was
	return b, false
}

// renderRest appends a reply, if it is known.
func (s *session) renderRest(b []byte, r *rest) ([]byte, bool) {
	if r.begun && !s.settle(r) {
		return b, false
	}
	if r.repeat != nil && s.repeats(r) {
		if r.work != nil {
			r.work.answered()
		}
		return b, true
	}
	endSpan(r.span, r.err)
	switch {
	case r.quiet:
	case r.render != nil:
		b = r.render(b, &r.result, r.err)
	default:
		b = r.renderPlan(b)
	}
	if r.work != nil {
		r.work.answered()
	}
	return b, true
}

// renderPlan appends what became of a plan that was a command of its own.
func (r *rest) renderPlan(b []byte) []byte {
	c, got := r.call, &r.result
	if r.err != nil {
		c.v.failed.Inc()
		return wire.AppendError(b, c.v.explain(r.err))
	}
	r.part = kv.PartResult{Outcome: got.Outcome, Failed: got.Failed, Current: got.Current, Ops: got.Ops}
	return c.renderPart(b, &r.part, got.Why, r.shape)
}

// repeats ends the block of a command that may have to be repeated, and reports whether it has to: then
// its reply comes from elsewhere.
func (s *session) repeats(r *rest) bool {
	s.blocked = false
	if r.err != nil || r.result.Outcome != kv.Stale {
		return false
	}
	s.span = r.span
	s.silently(r.quiet, r.repeat)
	return true
}

// again returns when the reply that is next is looked at although nothing was heard of it.
func (s *session) again() time.Time {
	if s.parked != nil {
		return s.barrier.Until()
	}
	if s.replies.len() == 0 {
		return time.Time{}
	}
	r := s.replies.list[s.replies.head].rest
	if r == nil || !r.begun || r.resolving {
		return time.Time{}
	}
	at, _ := r.until.Deadline()
	return at.Add(time.Millisecond)
}

// settle takes the result of what was begun, if it is there.
func (s *session) settle(r *rest) bool {
	if r.resolving {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.known {
			s.ahead--
			s.wrote(r.result.Rev)
		}
		return r.known
	}
	select {
	case <-r.pending.Done():
	default:
		if r.until.Err() == nil {
			return false
		}
		r.err = kv.ErrOutcomeUnknown
		s.ahead--
		return true
	}
	r.result, r.err = r.pending.ResultNow()
	if !errors.Is(r.err, kv.ErrWouldWait) {
		s.ahead--
		s.wrote(r.result.Rev)
		return true
	}
	r.resolving = true
	s.server.runners.Run(func() {
		result, err := r.pending.Result()
		s.mu.Lock()
		r.result, r.err, r.known = result, err, true
		s.mu.Unlock()
		s.Wake()
	})
	return false
}
