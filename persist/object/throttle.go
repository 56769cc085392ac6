package object

import (
	"context"
	"iter"
	"time"

	"keywatch/kv"
)

const (
	// pieceOfWork is about how long a mover works before it asks whether to rest.
	pieceOfWork = 2 * time.Millisecond
	// refsAtOnce and refsBytes bound how many references one command carries, and
	// how long their values are in all: other writes wait while they are applied,
	// and values in memory are hashed for it.
	refsAtOnce = 128
	refsBytes  = 256 << 10
)

// throttled ranges over values, with a rest after each piece of work that is done with
// them. Packing, storing and referring all happen in between.
func (m *Mover) throttled(ctx context.Context, all iter.Seq[kv.Resident]) iter.Seq[kv.Resident] {
	if m.opts.Rest == nil {
		return all
	}
	return func(yield func(kv.Resident) bool) {
		began := time.Now()
		for r := range all {
			if !yield(r) {
				return
			}
			if worked := time.Since(began); worked >= pieceOfWork {
				m.opts.Rest(ctx, worked)
				began = time.Now()
			}
		}
	}
}

// together returns how many of refs, at least one, go into one command.
func together(refs []kv.Ref) (n int) {
	bytes := 0
	for n < min(len(refs), refsAtOnce) {
		if bytes += refs[n].Size; n > 0 && bytes > refsBytes {
			break
		}
		n++
	}
	return n
}
