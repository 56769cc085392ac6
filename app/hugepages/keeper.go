package hugepages

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// share is the part of the time, one in share, that Run takes to move: others may
	// have to wait meanwhile. pause is the least time between two pieces.
	share, pause = 200, 20 * time.Millisecond
	// rest is how long nothing is looked at once all was moved.
	rest = 10 * time.Second
	// recheck is after how many rests all is looked at again: what was given back and
	// taken again is on small pages.
	recheck = 6
)

// ErrNotSupported is returned where the kernel cannot do it.
var ErrNotSupported = errors.New("huge: not supported by this kernel")

// A Keeper moves the memory of its process to huge pages. There should be one in
// a process. The zero Keeper is ready. Run and Move are not to be called at the
// same time; Bytes may be called by anyone.
type Keeper struct {
	// Least is how many bytes must be in use before Run moves any.
	Least int64
	// done holds the beginnings of the pieces that were moved.
	done  map[uintptr]struct{}
	bytes atomic.Int64
}

// Bytes returns how many bytes were found to be, or moved, on huge pages.
func (k *Keeper) Bytes() int64 { return k.bytes.Load() }

// Move moves everything at once. It fails with ErrNotSupported, or when the kernel
// has no memory for it; then some may be moved.
func (k *Keeper) Move() error {
	all, err := k.find()
	if err != nil {
		return err
	}
	for _, at := range all {
		if err := k.move(at); err != nil {
			return err
		}
	}
	return k.verdict(len(all))
}

// Run moves memory, piece by piece, until ctx ends or the kernel turns out not to
// support it. A goroutine that uses a piece, or needs more memory, while one is moved waits
// for that: 0.5 ms, or 10 where a hypervisor has to find the memory first. So it is
// done in one two-hundredth of the time.
func (k *Keeper) Run(ctx context.Context) {
	for rests := 1; ; rests++ {
		if !sleep(ctx, rest) || errors.Is(k.round(ctx), ErrNotSupported) {
			return
		}
		if rests%recheck == 0 {
			k.done = nil
		}
	}
}

// round moves what there is to move, unless it is little.
func (k *Keeper) round(ctx context.Context) error {
	all, err := k.find()
	if err != nil || k.moved()+int64(len(all))*piece < k.Least {
		return err
	}
	for _, at := range all {
		began := time.Now()
		if err := k.move(at); err != nil || !sleep(ctx, max(pause, share*time.Since(began))) {
			return err
		}
	}
	k.bytes.Store(k.moved())
	return k.verdict(len(all))
}

// moved returns how many bytes are known to be moved.
func (k *Keeper) moved() int64 { return int64(len(k.done)) * piece }

// verdict is that it is not supported if there was something to move, and nothing
// could be.
func (k *Keeper) verdict(found int) error {
	if found > 0 && len(k.done) == 0 {
		return ErrNotSupported
	}
	return nil
}

// sleep waits for d; it returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
