package kv

import (
	"context"
	"errors"
)

// warm gives the entries that a command's answer shows their values. The command
// ran, so no failure is the caller's: a value that cannot be had is left out, as in
// a replayed result.
func (s *Store) warm(ctx context.Context, c *Command, r *Result) {
	if e := r.Current; e != nil && e.cold && !r.CurrentNoValue {
		r.Current, r.CurrentNoValue = s.warmEntry(ctx, failedKey(c, r), e)
	}
	ops := c.Ops
	if r.Outcome == ElseRan {
		ops = c.Else
	}
	for i := range r.Ops {
		did := &r.Ops[i]
		if did.Entry != nil && did.Entry.cold && !did.NoValue && i < len(ops) {
			did.Entry, did.NoValue = s.warmEntry(ctx, ops[i].Key, did.Entry)
		}
	}
}

// failedKey returns the key of what Current shows: the check or fence that
// failed, or the lock that somebody holds; empty if c has no such thing.
func failedKey(c *Command, r *Result) string {
	switch {
	case r.Outcome == FenceLost && r.Failed < len(c.Fences):
		return LockKey(c.Fences[r.Failed].Lock)
	case c.Lock != nil:
		return LockKey(c.Lock.Name)
	case r.Failed < len(c.Checks):
		return c.Checks[r.Failed].Key
	}
	return ""
}

func (s *Store) warmEntry(ctx context.Context, key string, e *Entry) (got *Entry, noValue bool) {
	got, err := s.state.Resolve(ctx, key, e)
	if err != nil {
		return e.with("", e.tier, false), true
	}
	return got, false
}

// readGets runs operations that are all gets against a snapshot.
func (s *Store) readGets(ctx context.Context, snap *Snapshot, ops []Op) ([]OpResult, error) {
	var out []OpResult
	for i := range ops {
		e, err := snap.read(ctx, ops[i].Key)
		if err != nil {
			return nil, err
		}
		out = append(out, OpResult{Entry: e})
	}
	return out, nil
}

// read is Get with the value, and counts as a read of the key, which State.Read
// is too.
func (n *Snapshot) read(ctx context.Context, key string) (*Entry, error) {
	sl := n.slot(key)
	e := n.version(sl)
	if e == nil {
		return nil, nil
	}
	if !e.cold {
		sl.access.touch()
		n.state.reads[TierMemory].Inc()
		return e, nil
	}
	got, err := n.Resolve(ctx, key, e)
	if err == nil {
		n.state.promote(sl, e, got)
	}
	return got, err
}

// resolveCurrent gives what a read found instead of what it expected its value.
func (r *Result) resolveCurrent(ctx context.Context, c *Command, snap *Snapshot) (err error) {
	if r.Current != nil && r.Current.cold {
		r.Current, err = snap.Resolve(ctx, failedKey(c, r), r.Current)
	}
	return err
}

// A Gate holds writers back while there is no room in memory.
type Gate interface {
	// Admit returns nil once keys and values of bytes bytes may be written, or
	// ErrMemoryFull if that takes too long, or ctx's error. It is safe for
	// concurrent use.
	Admit(ctx context.Context, bytes int64) error
}

// Guard has g asked before every command that writes values. It is called before
// the store is used.
func (s *Store) Guard(g Gate) { s.gate = g }

// admit asks the gate.
func (s *Store) admit(ctx context.Context, c *Command) error {
	if s.gate == nil {
		return nil
	}
	var bytes int64
	for _, ops := range [2][]Op{c.Ops, c.Else} {
		for i := range ops {
			if ops[i].Kind == OpPut {
				bytes += int64(len(ops[i].Key) + len(ops[i].Value))
			}
		}
	}
	if bytes == 0 {
		return nil // what deletes is never held back
	}
	err := s.gate.Admit(ctx, bytes)
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrMemoryFull // not applied, whoever's patience it was
	}
	return err
}
