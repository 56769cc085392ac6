package auth

import (
	"keywatch/kv"
)

// A redacted is a Pending without what the caller may not read.
type redacted struct {
	kv.Pending
	view     View
	standing *Standing
	c        *kv.Command
}

// Result implements kv.Pending.
func (p *redacted) Result() (kv.Result, error) {
	r, err := p.Pending.Result()
	p.view.repeated(p.c, p.Pending, r, err)
	if err != nil {
		return r, err
	}
	if p.c.ReadOnly() && p.view.who.Look() != p.standing {
		return kv.Result{}, ErrMoved
	}
	p.standing.Redact(p.c, &r)
	return r, nil
}

// A shownLater is a Pending that shows nothing if the door was shut meanwhile.
type shownLater struct {
	kv.Pending
	view View
	c    *kv.Command
}

// Result implements kv.Pending.
func (p *shownLater) Result() (kv.Result, error) {
	r, err := p.Pending.Result()
	return p.view.shown(p.c, r, err)
}

// A settled is a Pending whose result is known.
type settled struct {
	result kv.Result
	err    error
}

var over = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Done implements kv.Pending.
func (p settled) Done() <-chan struct{} { return over }

// Result implements kv.Pending.
func (p settled) Result() (kv.Result, error) { return p.result, p.err }

// Notify implements kv.Pending.
func (p settled) Notify(w kv.Waker) { w.Wake() }
