package kv

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Read returns the newest published version of key with its value, nil if it is
// absent, and the position that it was read at. A value that is not in memory is
// fetched, and stays in memory then; Tier says where it was. It fails with an
// error that matches ErrDamaged if the value is lost, with ErrTierUnavailable, with
// ErrSnapshotLost if the state was retired, or with ctx's error.
func (s *State) Read(ctx context.Context, key string) (*Entry, Position, error) {
	return s.ReadIf(ctx, key, nil)
}

// ReadIf is Read that asks may, if not nil, before it fetches a value of size bytes that
// is not in memory: it fails as may does.
func (s *State) ReadIf(ctx context.Context, key string, may func(size int) error) (*Entry, Position, error) {
	for {
		sl, e, at := s.find(key)
		if e == nil {
			return nil, at, nil
		}
		if !e.cold {
			sl.access.touch()
			s.reads[TierMemory].Inc()
			return e, at, nil
		}
		if may != nil {
			if err := may(e.Size()); err != nil {
				return nil, at, err
			}
		}
		got, err := s.fetch(ctx, sl.key(), e)
		if err == nil {
			s.promote(sl, e, got)
			return got, at, nil
		}
		if !errors.Is(err, ErrColdGone) {
			return nil, at, err
		}
		// It was replaced meanwhile, unless the key still names it.
		if _, again, _ := s.find(key); again == e {
			return nil, at, lost(key, e)
		}
	}
}

// lost returns the error for a value that should be there and is not.
func lost(key string, e *Entry) error {
	return fmt.Errorf("%w: record %d.%d of key %.80q is missing", ErrDamaged, e.Mod, e.ordinal, key)
}

// fetch returns e, which is cold, with its value.
func (s *State) fetch(ctx context.Context, key string, e *Entry) (*Entry, error) {
	value, err := s.flights.read(ctx, s.opts.Cold, e.ref(key))
	if err != nil && s.retired.Load() {
		return nil, ErrSnapshotLost // the file is another server's
	}
	if err != nil {
		return nil, err
	}
	s.reads[e.tier].Inc()
	return e.with(value, e.tier, false), nil
}

// promote keeps in memory what got, which is e with its value, has of e. Where a
// snapshot keeps the version before e it does not: linking and unlinking such
// versions belongs to the apply lock.
func (s *State) promote(sl *slot, e, got *Entry) {
	full := s.opts.MemoryMax > 0 && s.Used() > s.opts.MemoryMax
	if full || e.prev.Load() != nil {
		return
	}
	hot := e.with(got.data(), TierMemory, false)
	if e.referred() {
		hot = e.cacheValue(got.data())
	}
	if !sl.cur.CompareAndSwap(e, hot) {
		return
	}
	s.memory.promotions.Add(1)
	s.memory.swap(e, hot)
	s.enter(sl)
}

// Resolve returns e, a version of key, with its value; e itself if it is not
// cold. If it is the newest version the value stays in memory. It fails with
// ErrColdGone if the version was replaced and its record is gone, and else as Read
// does.
func (s *State) Resolve(ctx context.Context, key string, e *Entry) (*Entry, error) {
	got, err := s.resolve(ctx, key, e, func() *Entry {
		if sl := s.slot(key); sl != nil {
			if now, _ := sl.at(e.Mod); now != nil && now.Mod == e.Mod {
				return now
			}
		}
		return nil
	})
	if sl := s.slot(key); err == nil && e.cold && sl != nil {
		s.promote(sl, e, got)
	}
	return got, err
}

// Resolve returns e, which the snapshot gave for key, with its value; e itself if
// it is not cold. The value does not stay in memory. It fails with
// ErrSnapshotLost if the snapshot was ended meanwhile, and else as State.Read
// does.
func (n *Snapshot) Resolve(ctx context.Context, key string, e *Entry) (*Entry, error) {
	got, err := n.state.resolve(ctx, key, e, func() *Entry {
		sl := n.slot(key)
		if sl == nil {
			return nil
		}
		now, _ := sl.at(n.view.at.Rev)
		return now
	})
	if err != nil && n.Err() != nil {
		return nil, n.Err()
	}
	return got, err
}

// resolve fetches the value of e. reload tells what stands in its place now, nil
// if it was replaced.
func (s *State) resolve(ctx context.Context, key string, e *Entry, reload func() *Entry) (*Entry, error) {
	for e.cold {
		got, err := s.fetch(ctx, key, e)
		if !errors.Is(err, ErrColdGone) {
			return got, err
		}
		now := reload()
		if now == nil {
			return nil, err
		}
		if now == e {
			return nil, lost(key, e)
		}
		e = now
	}
	return e, nil
}

// resolveResult gives the entries that a command's answer shows their values. The command
// ran, so no failure is the caller's: a value that cannot be had is left out, as in
// a replayed result.
func (s *Store) resolveResult(ctx context.Context, c *Command, r *Result) {
	if e := r.Current; e != nil && e.cold && !r.CurrentNoValue {
		r.Current, r.CurrentNoValue = s.resolveEntry(ctx, failedKey(c, r), e)
	}
	left := int64(s.limits.Command)
	for ops, did := range r.ran(c) {
		left = boundReads(did, ops, left)
		for i := range did {
			if did := &did[i]; did.Entry != nil && did.Entry.cold && !did.NoValue && i < len(ops) {
				did.Entry, did.NoValue = s.resolveEntry(ctx, ops[i].Key, did.Entry)
			}
		}
	}
}

// ran ranges over the lists of operations of c that ran, with their results.
func (r *Result) ran(c *Command) iter.Seq2[[]Op, []OpResult] {
	return func(yield func([]Op, []OpResult) bool) {
		if ops := branchOf(c.Ops, c.Else, r.Outcome); !yield(ops, r.Ops) {
			return
		}
		for i := range r.Parts {
			if i >= len(c.Parts) {
				return
			}
			p, did := &c.Parts[i], &r.Parts[i]
			if !yield(branchOf(p.Ops, p.Else, did.Outcome), did.Ops) {
				return
			}
		}
	}
}

// branchOf returns the operations that an outcome says have run.
func branchOf(ops, otherwise []Op, o Outcome) []Op {
	if o == ElseRan {
		return otherwise
	}
	return ops
}

// failedKey returns the key of what Current shows: the check or fence that
// failed, or the lock that is held; empty if c has no such thing.
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

func (s *Store) resolveEntry(ctx context.Context, key string, e *Entry) (got *Entry, noValue bool) {
	got, err := s.State().Resolve(ctx, key, e)
	if err != nil {
		return e.with("", e.tier, false), true
	}
	return got, false
}

// readParts runs parts whose operations are all gets against a snapshot.
func (s *Store) readParts(snap *Snapshot, parts []Part, get func(string) (*Entry, error)) ([]PartResult, error) {
	out := make([]PartResult, len(parts))
	size := 0
	for i := range parts {
		p, r := &parts[i], &out[i]
		r.Outcome = Committed
		if i, found := firstFailed(p.Checks, snap.Get, snap.changed); i >= 0 {
			r.Outcome, r.Failed, r.Current = CheckFailed, i, found
			if !p.HasElse {
				continue
			}
			r.Outcome = ElseRan
		}
		var err error
		if r.Ops, err = s.readGets(get, branchOf(p.Ops, p.Else, r.Outcome), &size); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readGets runs operations that are all gets. size is that of all values read so far.
func (s *Store) readGets(get func(string) (*Entry, error), ops []Op, size *int) ([]OpResult, error) {
	var out []OpResult
	for i := range ops {
		e, err := get(ops[i].Key)
		if err != nil {
			return nil, err
		}
		if e != nil {
			*size += e.Size()
		}
		if *size > s.limits.Command {
			return nil, s.tooMuchRead()
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
func (r *Result) resolveCurrent(c *Command, get func(string) (*Entry, error)) (err error) {
	if r.Current != nil && r.Current.cold {
		r.Current, err = get(failedKey(c, r))
	}
	return err
}
