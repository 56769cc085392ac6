package kv

import "context"

// touchRounds is how often a command is made again because a key that it touches was
// written meanwhile.
const touchRounds = 16

// write runs c, and makes it again while what it was made from has changed.
func (s *Store) write(ctx context.Context, c *Command) (Result, error) {
	fixed := c.fixed()
	for range touchRounds {
		if !fixed {
			if err := s.readTouched(ctx, c); err != nil {
				return Result{}, err
			}
		}
		p, err := s.place(ctx, c)
		if err != nil {
			return Result{}, err
		}
		r, err := await(ctx, p)
		if err != nil {
			return r, err
		}
		if r.Outcome != Stale || fixed {
			s.resolveResult(ctx, c, &r)
			return r, nil
		}
	}
	return Result{}, ErrContended
}

// fixed reports whether only the caller can make c again: it has Reads of its own, or touches
// nothing.
func (c *Command) fixed() bool { return len(c.Reads) > 0 || !c.touches() }

// touches reports whether c touches a key.
func (c *Command) touches() bool {
	for ops := range c.branches() {
		for i := range ops {
			if ops[i].Kind == OpTouch {
				return true
			}
		}
	}
	return false
}

// readTouched gives the touches in c the values that are not small, and c the Reads of
// their versions.
func (s *Store) readTouched(ctx context.Context, c *Command) error {
	if err := s.log.ReadBarrier(ctx); err != nil {
		return err
	}
	c.Reads = nil
	size := 0
	for ops := range c.branches() {
		for i := range ops {
			if ops[i].Kind != OpTouch {
				continue
			}
			if err := s.readOne(ctx, c, &ops[i]); err != nil {
				return err
			}
			if size += len(ops[i].Value); size > s.limits.Command {
				return s.tooMuchRead()
			}
		}
	}
	return nil
}

func (s *Store) readOne(ctx context.Context, c *Command, op *Op) error {
	op.Value = nil
	if e, _ := s.State().Get(op.Key); e == nil || e.Size() < SmallValue {
		return nil
	}
	e, _, err := s.State().Read(ctx, op.Key)
	if err != nil || e == nil || e.Size() < SmallValue {
		return err
	}
	op.Value = []byte(e.Value())
	c.Reads = append(c.Reads, Read{op.Key, e.Mod})
	return nil
}
