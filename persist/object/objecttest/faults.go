// Package objecttest makes object stores fail on purpose, for tests.
package objecttest

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"keywatch/persist/object"
)

// A Call is what is asked of a store.
type Call int

// The calls.
const (
	Put Call = iota
	Get
	Delete
	List
)

// A Fault is what goes wrong with one call.
type Fault int

// The faults.
const (
	// None lets the call through.
	None Fault = iota
	// Down does nothing and fails with object.ErrUnavailable.
	Down
	// Lost does what is asked and fails with object.ErrUnavailable, as if the
	// answer had been lost.
	Lost
	// Hang waits for the end of the context and fails with its error.
	Hang
	// Cut gives back less than was asked for, as object.ErrDamaged, or of a Put
	// keeps only half of the bytes.
	Cut
	// Flip turns one bit of what is read, or written.
	Flip
	// Gone says that there is no such object.
	Gone
)

// A Store does what the store inside does, unless Choose picks a fault. It is
// safe for concurrent use if Choose is.
type Store struct {
	object.Store
	// Choose picks the fault for a call; nil is None always.
	Choose func(c Call, name string) Fault
	// Latency is waited before each call.
	Latency time.Duration
}

var _ object.Store = (*Store)(nil)

// Random returns a Choose that picks one of faults in one of every n calls. It
// is safe for concurrent use.
func Random(seed uint64, n int, faults ...Fault) func(Call, string) Fault {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1))
	return func(Call, string) Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(n) != 0 {
			return None
		}
		return faults[r.IntN(len(faults))]
	}
}

func (s *Store) fault(ctx context.Context, c Call, name string) (Fault, error) {
	if s.Latency > 0 {
		select {
		case <-ctx.Done():
			return None, ctx.Err()
		case <-time.After(s.Latency):
		}
	}
	if s.Choose == nil {
		return None, nil
	}
	f := s.Choose(c, name)
	switch f {
	case Down:
		return f, fmt.Errorf("%w: injected", object.ErrUnavailable)
	case Hang:
		<-ctx.Done()
		return f, ctx.Err()
	}
	return f, nil
}

// Put implements object.Store.
func (s *Store) Put(ctx context.Context, name string, b []byte) error {
	f, err := s.fault(ctx, Put, name)
	if err != nil {
		return err
	}
	switch f {
	case Cut:
		b = b[:len(b)/2]
	case Flip:
		b = flip(b)
	}
	if err := s.Store.Put(ctx, name, b); err != nil || f != Lost {
		return err
	}
	return fmt.Errorf("%w: injected: lost answer", object.ErrUnavailable)
}

// GetRange implements object.Store.
func (s *Store) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	f, err := s.fault(ctx, Get, name)
	if err != nil {
		return nil, err
	}
	b, err := s.Store.GetRange(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	switch f {
	case Lost:
		return nil, fmt.Errorf("%w: injected: lost answer", object.ErrUnavailable)
	case Cut:
		return nil, fmt.Errorf("%w: injected: cut", object.ErrDamaged)
	case Flip:
		return flip(b), nil
	case Gone:
		return nil, object.ErrNotFound
	}
	return b, nil
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	f, err := s.fault(ctx, Delete, name)
	if err != nil {
		return err
	}
	if err := s.Store.Delete(ctx, name); err != nil || f != Lost {
		return err
	}
	return fmt.Errorf("%w: injected: lost answer", object.ErrUnavailable)
}

// List implements object.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) {
		if _, err := s.fault(ctx, List, prefix); err != nil {
			yield(object.Info{}, err)
			return
		}
		s.Store.List(ctx, prefix)(yield)
	}
}

// flip returns a copy of b with one bit turned.
func flip(b []byte) []byte {
	b = append([]byte(nil), b...)
	if len(b) > 0 {
		b[len(b)/2] ^= 4
	}
	return b
}
