package kv

import (
	"context"
	"errors"
)

// ErrWouldWait is returned by the calls that never wait, where the answer takes a wait: for
// room in memory, for a value that is not there, for other servers. Nothing was done.
var ErrWouldWait = errors.New("would wait")

// A Waker is what is told that there may be something to look at. Wake never waits, may be
// called at any time, and is safe for concurrent use.
type Waker interface{ Wake() }

// A Prompt is a Log that can tell without a wait whether reads are linearizable now.
type Prompt interface {
	// ReadBarrierNow is ReadBarrier that fails with ErrWouldWait where that would wait.
	ReadBarrierNow() error
}

// GetNow is Get that fails with ErrWouldWait where that would wait.
func (s *Store) GetNow(key string) (*Entry, Position, error) {
	if s.prompt == nil {
		return nil, Position{}, ErrWouldWait
	}
	if err := s.prompt.ReadBarrierNow(); err != nil {
		return nil, Position{}, err
	}
	return s.State().ReadNow(key)
}

// DoNow is Do for a command that only reads. It fails with ErrWouldWait where that would wait,
// and for any other command. With meta set the values of what it finds may be missing: those
// that are not in memory are left where they are.
func (s *Store) DoNow(c *Command, meta bool) (Result, error) {
	if err := c.Validate(s.limits); err != nil {
		return Result{}, err
	}
	if s.prompt == nil || !c.ReadOnly() {
		return Result{}, ErrWouldWait
	}
	if err := s.prompt.ReadBarrierNow(); err != nil {
		return Result{}, err
	}
	return s.readHere(c, meta)
}

// DoAfter is DoNow for a command whose barrier is done.
func (s *Store) DoAfter(c *Command, meta bool) (Result, error) {
	if err := c.Validate(s.limits); err != nil {
		return Result{}, err
	}
	if !c.ReadOnly() {
		return Result{}, ErrWouldWait
	}
	return s.readHere(c, meta)
}

// readHere runs a command that only reads against the state there is.
func (s *Store) readHere(c *Command, meta bool) (Result, error) {
	snap, err := s.State().Snapshot()
	if err != nil {
		return Result{}, err
	}
	defer snap.Close()
	return s.readFrom(snap, c, func(key string) (*Entry, error) { return snap.readNow(key, meta) })
}

// readNow is read that fails with ErrWouldWait if the value is not in memory, or leaves it
// where it is if meta is set.
func (n *Snapshot) readNow(key string, meta bool) (*Entry, error) {
	sl := n.slot(key)
	e := n.version(sl)
	switch {
	case e == nil || e.cold && meta:
		return e, nil
	case e.cold:
		return nil, ErrWouldWait
	}
	sl.access.touch()
	n.state.reads[TierMemory].Inc()
	return e, nil
}

// ReadNow is Read that fails with ErrWouldWait if the value is not in memory.
func (s *State) ReadNow(key string) (*Entry, Position, error) {
	sl, e, at := s.find(key)
	switch {
	case e == nil:
		return nil, at, nil
	case e.cold:
		return nil, at, ErrWouldWait
	}
	sl.access.touch()
	s.reads[TierMemory].Inc()
	return e, at, nil
}

// BeginNow is Begin that fails with ErrWouldWait where that would wait, and for commands that
// only read.
func (s *Store) BeginNow(c *Command) (Begun, error) {
	if err := c.Validate(s.limits); err != nil {
		return Begun{}, err
	}
	if s.beginner == nil || c.ReadOnly() || s.touchesLarge(c) {
		return Begun{}, ErrWouldWait
	}
	if c.reads() {
		if size, _ := s.ReadSize(c); size > int64(s.limits.Command) {
			return Begun{}, s.tooMuchRead()
		}
	}
	var bytes int64
	if s.gate != nil {
		bytes = c.growth()
	}
	if bytes > 0 && !s.gate.TryAdmit(bytes) {
		return Begun{}, ErrWouldWait
	}
	defer s.placed(bytes)
	p, err := s.beginner.Begin(c)
	if err != nil {
		return Begun{}, err
	}
	return Begun{p, s, context.Background(), c}, nil
}

// touchesLarge reports whether c touches a key whose value is read before.
func (s *Store) touchesLarge(c *Command) bool {
	for ops := range c.branches() {
		for i := range ops {
			if ops[i].Kind != OpTouch {
				continue
			}
			if e, _ := s.State().Get(ops[i].Key); e != nil && e.Size() >= SmallValue {
				return true
			}
		}
	}
	return false
}

// A Begun is a Pending whose result gets the values that it shows.
type Begun struct {
	Pending
	store *Store
	ctx   context.Context
	c     *Command
}

// Command returns the command.
func (p Begun) Command() *Command { return p.c }

// Result implements Pending. It may wait until the context of Begin ends: for values that are
// not in memory, and to begin the command again that touches a key which has changed meanwhile.
func (p Begun) Result() (Result, error) {
	r, err := p.Pending.Result()
	if err == nil && p.again(&r) {
		return p.store.write(p.ctx, p.c)
	}
	if err == nil {
		p.store.resolveResult(p.ctx, p.c, &r)
	}
	return r, err
}

// again reports whether the command is to begin again.
func (p Begun) again(r *Result) bool { return r.Outcome == Stale && !p.c.fixed() }

// ResultNow is Result that fails with ErrWouldWait where that would wait; Result may be called
// then.
func (p Begun) ResultNow() (Result, error) {
	r, err := p.Pending.Result()
	if err == nil && (p.again(&r) || r.cold(p.c)) {
		return Result{}, ErrWouldWait
	}
	if err == nil {
		p.store.resolveResult(p.ctx, p.c, &r)
	}
	return r, err
}

// cold reports whether r, of c, shows a value that is not in memory.
func (r *Result) cold(c *Command) bool {
	if e := r.Current; e != nil && e.cold && !r.CurrentNoValue {
		return true
	}
	for _, did := range r.ran(c) {
		for i := range did {
			if e := did[i].Entry; e != nil && e.cold && !did[i].NoValue {
				return true
			}
		}
	}
	return false
}
