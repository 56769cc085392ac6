package kv

import (
	"context"
	"errors"
	"sync/atomic"
)

// A Log gives commands a total order, makes them durable, and applies them to
// the state. It is safe for concurrent use.
type Log interface {
	// Propose returns the result of c once it was applied. It fails with one of
	// ErrQueueFull, ErrDiskFull, ErrNoLeader, ErrStarting, ErrStopping, which promise that c
	// was not applied, or with ErrOutcomeUnknown. Nothing of c is kept.
	Propose(ctx context.Context, c *Command) (Result, error)
	// ReadBarrier returns nil once the state shows every write that was
	// acknowledged before the call, anywhere. It fails like Propose, or with
	// ctx's error.
	ReadBarrier(ctx context.Context) error
	// Now returns the present log time in milliseconds.
	Now() int64
}

// A Store is a state and the log that feeds it: what everybody but the log
// itself uses. It is safe for concurrent use.
type Store struct {
	state    atomic.Pointer[State]
	log      Log
	beginner Beginner        // log, if it is one
	prompt   Prompt          // log, if it is one
	barriers BarrierBeginner // log, if it is one
	limits   Limits
	gate     Gate // nil for none
}

// NewStore returns a store of state, which log applies to.
func NewStore(state *State, log Log, limits Limits) *Store {
	s := &Store{log: log, limits: limits.WithDefaults()}
	s.state.Store(state)
	s.beginner, _ = log.(Beginner)
	s.prompt, _ = log.(Prompt)
	s.barriers, _ = log.(BarrierBeginner)
	return s
}

// State returns the state, which Replace may replace at any time. The caller must not change it.
func (s *Store) State() *State { return s.state.Load() }

// Replace has the store use another state: that of another server, which is ahead of the one it
// had. Who waits for a lock waits there from then on.
func (s *Store) Replace(next *State) { s.state.Swap(next).leave() }

// Limits returns the bounds on commands.
func (s *Store) Limits() Limits { return s.limits }

// Now returns the present log time in milliseconds, from which a TTL counts.
func (s *Store) Now() int64 { return s.log.Now() }

// Position returns the newest position that is visible here.
func (s *Store) Position() Position { return s.State().Position() }

// Barrier waits until local reads show every write acknowledged before the
// call. It fails as Log.ReadBarrier does.
func (s *Store) Barrier(ctx context.Context) error { return s.log.ReadBarrier(ctx) }

// Get returns the newest version of key, nil if it is absent, and the position
// of the read, which is linearizable. It has its value, wherever that was. Get
// fails as Log.ReadBarrier and State.Read do.
func (s *Store) Get(ctx context.Context, key string) (*Entry, Position, error) {
	return s.GetIf(ctx, key, nil)
}

// GetIf is Get that asks may as State.ReadIf does.
func (s *Store) GetIf(ctx context.Context, key string, may func(size int) error) (*Entry, Position, error) {
	if err := s.log.ReadBarrier(ctx); err != nil {
		return nil, Position{}, err
	}
	return s.ReadIf(ctx, key, may)
}

// ReadIf is State.ReadIf of the state there is: without a barrier, it may miss what was acknowledged
// elsewhere. It fails with ErrStarting while another state is loaded.
func (s *Store) ReadIf(ctx context.Context, key string, may func(size int) error) (*Entry, Position, error) {
	for {
		state := s.state.Load()
		e, at, err := state.ReadIf(ctx, key, may)
		if err == nil || !errors.Is(err, ErrSnapshotLost) {
			return e, at, err
		}
		if s.state.Load() == state {
			return nil, Position{}, ErrStarting
		}
	}
}

// Snapshot opens a snapshot that shows every write acknowledged before the
// call. It fails as Log.ReadBarrier does.
func (s *Store) Snapshot(ctx context.Context) (*Snapshot, error) {
	if err := s.log.ReadBarrier(ctx); err != nil {
		return nil, err
	}
	return s.LocalSnapshot()
}

// LocalSnapshot opens a snapshot of the state there is, without a barrier. It fails with
// ErrStarting while another state is loaded.
func (s *Store) LocalSnapshot() (*Snapshot, error) {
	for {
		state := s.state.Load()
		snap, err := state.Snapshot()
		if err == nil || !errors.Is(err, ErrSnapshotLost) {
			return snap, err
		}
		if s.state.Load() == state {
			return nil, ErrStarting
		}
	}
}

// Do runs c and returns its result, whose entries have their values. It fails as
// Command.Validate and Log.Propose do, and with ErrMemoryFull. A command that can
// change nothing takes no place in the log; it fails as State.Read does.
func (s *Store) Do(ctx context.Context, c *Command) (Result, error) {
	if err := c.Validate(s.limits); err != nil {
		return Result{}, err
	}
	if c.ReadOnly() {
		return s.read(ctx, c)
	}
	return s.write(ctx, c)
}

// read runs a command of gets only against a snapshot.
func (s *Store) read(ctx context.Context, c *Command) (Result, error) {
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return Result{}, err
	}
	defer snap.Close()
	return s.readFrom(snap, c, func(key string) (*Entry, error) { return snap.read(ctx, key) })
}

// readFrom runs a command of gets only against a snapshot, whose values get returns.
func (s *Store) readFrom(snap *Snapshot, c *Command, get func(key string) (*Entry, error)) (_ Result, err error) {
	r := Result{At: snap.Position(), Time: snap.Time(), Outcome: Committed}
	ops := c.Ops
	if i, held := firstLost(c.Fences, snap.Get); i >= 0 {
		r.Outcome, r.Failed, r.Current, ops = FenceLost, i, held, nil
	} else if i, found := firstFailed(c.Checks, snap.Get, snap.changed); i >= 0 {
		r.Outcome, r.Failed, r.Current, ops = CheckFailed, i, found, nil
		if c.HasElse {
			r.Outcome, ops = ElseRan, c.Else
		}
	}
	if err := r.resolveCurrent(c, get); err != nil {
		return r, err
	}
	size := 0
	if r.Ops, err = s.readGets(get, ops, &size); err != nil {
		return r, err
	}
	if r.Outcome == Committed && c.Parts != nil {
		if r.Parts, err = s.readParts(snap, c.Parts, get); err != nil {
			return r, err
		}
	}
	return r, snap.Err()
}
