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
			f.run(ctx, id, fl, from, ref)
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

// run reads, and ends the flight even if the reader panics.
func (f *flights) run(ctx context.Context, id flightKey, fl *flight, from ColdReader, ref ColdRef) {
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
