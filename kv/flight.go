package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"keywatch/kv/trace"
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

// read returns the value that ref names, and records the read with the request that ctx is for, if that
// is sampled. A caller whose context is alive does not fail because the one it waited for was given up.
func (f *flights) read(ctx context.Context, from ColdReader, ref ColdRef) (string, error) {
	ctx, part := trace.Begin(ctx, "keywatch.value.read")
	value, err := f.share(ctx, from, ref)
	if part != nil {
		part.Set(slog.String("keywatch.tier", ref.Tier.String()), slog.Int("keywatch.value.bytes", ref.Size))
		part.Fail(coldErrorType(err))
		part.End()
	}
	return value, err
}

// coldErrorType returns what traces show of a read that has failed with err; empty for none.
func coldErrorType(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrDamaged):
		return "data_damaged"
	case errors.Is(err, ErrTierUnavailable):
		return "tier_unavailable"
	case errors.Is(err, ErrColdGone):
		return "replaced"
	}
	return "canceled"
}

// share is read for a caller and those that ask for the same value meanwhile.
func (f *flights) share(ctx context.Context, from ColdReader, ref ColdRef) (string, error) {
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
