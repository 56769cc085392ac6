package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// flights are the reads of cold values under way: one for each version, however
// many wait for it.
type flights struct {
	mu struct {
		sync.Mutex
		open map[flightKey]*flight
	}
}

type flightKey struct {
	key string
	at  Locator
}

// A flight is one read. value and err are set before done is closed.
type flight struct {
	done  chan struct{} // closed when the read has ended
	value string
	err   error
}

// read returns the value that ref names. A caller whose context is alive does
// not fail because the one it waited for was given up.
func (f *flights) read(ctx context.Context, from ColdReader, ref ColdRef) (string, error) {
	id := flightKey{ref.Key, ref.At}
	for {
		fl, mine := f.join(id)
		if mine {
			f.lead(ctx, id, fl, from, ref)
			return fl.value, fl.err
		}
		select {
		case <-fl.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		givenUp := errors.Is(fl.err, context.Canceled) || errors.Is(fl.err, context.DeadlineExceeded)
		if !givenUp || ctx.Err() != nil {
			return fl.value, fl.err
		}
	}
}

func (f *flights) join(id flightKey) (fl *flight, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.mu.open[id]; ok {
		return fl, false
	}
	fl = &flight{done: make(chan struct{})}
	if f.mu.open == nil {
		f.mu.open = make(map[flightKey]*flight)
	}
	f.mu.open[id] = fl
	return fl, true
}

// lead reads, and ends the flight even if the reader panics.
func (f *flights) lead(ctx context.Context, id flightKey, fl *flight, from ColdReader, ref ColdRef) {
	fl.err = errNoReader
	defer func() {
		f.mu.Lock()
		delete(f.mu.open, id)
		f.mu.Unlock()
		close(fl.done)
	}()
	if from != nil {
		fl.value, fl.err = from.ReadCold(ctx, ref)
	}
}

// errNoReader is what reading a cold value fails with in a state that was given
// nothing to read from.
var errNoReader = fmt.Errorf("%w: no reader of cold values", ErrTierUnavailable)

// Read returns the newest published version of key with its value, nil if it is
// absent, and the position that it was read at. A value that is not in memory is
// fetched, and stays in memory then; Tier says where it was. It fails with an
// error that matches ErrDamaged if the value is lost, with ErrTierUnavailable,
// or with ctx's error.
func (s *State) Read(ctx context.Context, key string) (*Entry, Position, error) {
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
		hot = e.hold(got.data())
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
