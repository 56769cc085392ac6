package kv

import "context"

// A Pending is a command that has its place in the order of all commands, but
// no result yet. It is safe for concurrent use.
type Pending interface {
	// Done is closed when the result is known.
	Done() <-chan struct{}
	// Result returns what Log.Propose would; it is called after Done is closed.
	Result() (Result, error)
	// Notify has w woken once the result is known, at once if it is. Commands whose results
	// become known together wake w once, or little more often.
	Notify(w Waker)
}

// A Beginner is a Log that takes commands without making the caller wait, so
// that one caller can have many under way and knows their order.
type Beginner interface {
	// Begin gives c its place after every command begun before it. It fails
	// like Log.Propose, but never with ErrOutcomeUnknown, and does not wait.
	// Nothing of c is kept.
	Begin(c *Command) (Pending, error)
}

// Begin takes c and returns at once, if the log is a Beginner; otherwise it
// waits for the result. Commands begun one after the other are applied in that
// order. It fails as Do does. The caller leaves c as it is until it has the
// result, which is asked for once.
func (s *Store) Begin(ctx context.Context, c *Command) (Pending, error) {
	if err := c.Validate(s.limits); err != nil {
		return nil, err
	}
	if c.ReadOnly() {
		result, err := s.read(ctx, c)
		return settled{result, err}, nil
	}
	if err := s.readTouched(ctx, c); err != nil {
		return nil, err
	}
	p, err := s.place(ctx, c)
	if err != nil {
		return nil, err
	}
	return Begun{p, s, ctx, c}, nil
}

// await returns the result of p, or ErrOutcomeUnknown when ctx ends before it is known.
func await(ctx context.Context, p Pending) (Result, error) {
	if ctx.Done() == nil {
		<-p.Done()
		return p.Result()
	}
	select {
	case <-p.Done():
		return p.Result()
	case <-ctx.Done():
		return Result{}, ErrOutcomeUnknown
	}
}

// A settled is a Pending whose result is known.
type settled struct {
	result Result
	err    error
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (p settled) Done() <-chan struct{}   { return closed }
func (p settled) Result() (Result, error) { return p.result, p.err }
func (p settled) Notify(w Waker)          { w.Wake() }
