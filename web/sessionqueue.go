package web

import (
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/web/reactor"
)

// The requests of a session whose answers were not sent are linked in order: a session that is
// idle has none, and needs no room for them.

func (n *session) push(p *fastPath) {
	if n.ahead++; n.last == nil {
		n.first = p
	} else {
		n.last.next = p
	}
	n.last = p
}

func (n *session) pop() {
	p := n.first
	if n.ahead--; n.ahead == 0 {
		n.last = nil
	}
	n.first, p.next = p.next, nil
	p.clear()
	n.s.fastPaths.Put(p)
}

// send appends the answers that are ready, in order, about reactor.Piece bytes of them.
func (n *session) send(b []byte, now time.Time) []byte {
	for n.first != nil && len(b) < reactor.Piece && n.ready(n.first, now) {
		p := n.first
		if !p.begun {
			b, p.rest = p.render(b)
			p.begun = true
		}
		m := min(len(p.rest), max(0, reactor.Piece-len(b)))
		if b, p.rest = append(b, p.rest[:m]...), p.rest[m:]; len(p.rest) == 0 {
			n.pop()
		}
	}
	return b
}

// ready reports whether the request in p is answered, and answers a write that is done, or
// has taken too long.
func (n *session) ready(p *fastPath, now time.Time) bool {
	r := p.request
	if r == nil {
		return true
	}
	var result kv.Result
	var err error
	select {
	case <-r.begun.Done():
		if result, err = n.result(p); err == kv.ErrWouldWait {
			return false
		}
	default:
		if now.Before(r.givenUp()) {
			return false
		}
		err = kv.ErrOutcomeUnknown
	}
	if err == nil && result.Outcome == kv.AuthMoved && n.decides(p) {
		return false
	}
	p.request, p.slow = nil, nil
	n.pending--
	n.own.promised = true
	r.finish(result, err)
	n.own.promised = false
	return true
}

// A slowResult is the result of a write that shows values which are not in memory, or is decided
// again.
type slowResult struct {
	done   atomic.Bool
	again  bool
	result kv.Result
	err    error
}

// result returns the result of the write in p. It fails with kv.ErrWouldWait while a goroutine
// waits for values that it shows.
func (n *session) result(p *fastPath) (kv.Result, error) {
	if p.slow == nil {
		result, err := p.request.begun.ResultNow()
		if err != kv.ErrWouldWait {
			return result, err
		}
		n.wait(p, new(slowResult), p.request.begun.Result)
	}
	if !p.slow.done.Load() {
		return kv.Result{}, kv.ErrWouldWait
	}
	return p.slow.result, p.slow.err
}

// wait has a goroutine wait for the result of the write in p.
func (n *session) wait(p *fastPath, slow *slowResult, result func() (kv.Result, error)) {
	p.slow = slow
	n.s.background.Go(func() {
		slow.result, slow.err = result()
		slow.done.Store(true)
		n.sock.Wake()
	})
}

// deciding reports whether a write is decided again. Nothing behind it is begun before that is done.
func (n *session) deciding() bool {
	return n.first != nil && n.first.slow != nil && n.first.slow.again
}

// decides has a goroutine decide the write in p again, which did nothing because permissions changed,
// and reports whether it does. A write behind which others are under way is not: it would run after
// them.
func (n *session) decides(p *fastPath) bool {
	if n.deciding() || n.pending > 1 {
		return false
	}
	r := p.request
	n.wait(p, &slowResult{again: true}, func() (kv.Result, error) { return r.view().Do(r.deadline(), r.begun.Command()) })
	return true
}
