package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"keywatch/kv"
)

// errandWait is how long one question waits for the end of an errand: less than a question may take.
const errandWait = 10 * time.Second

// errUnderWay is returned while the work is not done: the same question is to be asked again.
var errUnderWay = errors.New("the work is under way")

// An errand is work that another server asks for and that takes longer than a question may. The first question with
// the number of a run begins it, and those that follow wait for its end. There is one run at a time. It is safe for
// concurrent use.
type errand struct {
	running sync.WaitGroup
	mu      struct {
		sync.Mutex
		do     func(ctx context.Context) error // nil until there is a store, and once it ends
		cancel context.CancelFunc
		life   context.Context
		run    uint64        // the newest
		done   chan struct{} // closed when that has ended, nil if there was none
		err    error         // what it came to
	}
}

// open has questions begin runs of do, until close.
func (e *errand) open(do func(ctx context.Context) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.life, e.mu.cancel = context.WithCancel(context.Background())
	e.mu.do = do
}

// close ends what runs, and waits for it.
func (e *errand) close() {
	e.mu.Lock()
	if e.mu.do = nil; e.mu.cancel != nil {
		e.mu.cancel()
	}
	e.mu.Unlock()
	e.running.Wait()
}

// ask returns what the run with a number came to, or errUnderWay.
func (e *errand) ask(ctx context.Context, run uint64) error {
	done, err := e.begin(run)
	if err != nil {
		return err
	}
	timeout := time.NewTimer(errandWait)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
		return errUnderWay
	case <-ctx.Done():
		return ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.run != run {
		return errUnderWay // that of another, after which this one begins
	}
	return e.mu.err
}

// begin begins a run unless one is under way or it is known, and returns what is closed at the end.
func (e *errand) begin(run uint64) (done <-chan struct{}, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.do == nil {
		return nil, kv.ErrStarting
	}
	if e.mu.done != nil {
		select {
		case <-e.mu.done:
			if e.mu.run == run {
				return e.mu.done, nil
			}
		default:
			return e.mu.done, nil
		}
	}
	do, life, ended := e.mu.do, e.mu.life, make(chan struct{})
	e.mu.run, e.mu.done, e.mu.err = run, ended, nil
	e.running.Go(func() {
		err := do(life)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.mu.err = err
		close(ended)
	})
	return ended, nil
}
