package huge

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// budget is for how long a pass copies, pause how long it leaves the processor
	// to others before it goes on.
	budget, pause = 20 * time.Millisecond, 200 * time.Millisecond
	// rest is how long nothing is looked at once a pass found nothing to do.
	rest = 10 * time.Second
	// recheck is after how many rests all is looked at anew: what was given back and
	// taken again is on small pages.
	recheck = 6
)

// ErrNotSupported is returned where the kernel cannot do it.
var ErrNotSupported = errors.New("huge: not supported by this kernel")

// A Keeper moves the memory of its process to huge pages. There should be one in
// a process. The zero Keeper is ready. Run and Pass are not to be called at the
// same time; Bytes may be called by anyone.
type Keeper struct {
	// done holds the beginnings of the pieces that were moved.
	done  map[uintptr]struct{}
	bytes atomic.Int64
}

// Bytes returns how many bytes were found to be, or moved, on huge pages.
func (k *Keeper) Bytes() int64 { return k.bytes.Load() }

// Run looks at the process's memory until ctx ends, or the kernel turns out not to
// support it. It takes a tenth of a processor while there is something to move.
func (k *Keeper) Run(ctx context.Context) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for rests := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		more, err := k.Pass(budget)
		switch {
		case errors.Is(err, ErrNotSupported):
			return
		case err == nil && more:
			timer.Reset(pause)
		default:
			if rests++; rests%recheck == 0 {
				k.done = nil
			}
			timer.Reset(rest)
		}
	}
}
