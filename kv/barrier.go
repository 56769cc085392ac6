package kv

import (
	"sync/atomic"
	"time"
)

// A Barrier is a read barrier that is under way. What is read of the state once it is done without
// an error shows every write that was acknowledged before it began. It is safe for concurrent use.
type Barrier struct {
	began time.Time
	waker Waker
	state atomic.Uint32 // one of the barrier states below
	err   error         // set before state is barrierDone
}

const (
	barrierOpen uint32 = iota
	barrierFinishing
	barrierDone
)

// NewBarrier returns a barrier that begins now. Logs call it, and Finish once.
func NewBarrier(w Waker) *Barrier { return &Barrier{began: time.Now(), waker: w} }

// Began returns when the barrier began.
func (b *Barrier) Began() time.Time { return b.began }

// Finish notes that the barrier is done, or that it failed with err, and wakes who waits for it.
// Only the first call counts.
func (b *Barrier) Finish(err error) {
	if b.state.CompareAndSwap(barrierOpen, barrierFinishing) {
		b.err = err
		b.state.Store(barrierDone)
		b.waker.Wake()
	}
}

// Done reports whether the barrier is done. If it failed it returns why, such as ErrNoLeader.
func (b *Barrier) Done() (done bool, err error) {
	if b.state.Load() != barrierDone {
		return false, nil
	}
	return true, b.err
}

// A BarrierBeginner is a Log whose read barriers can be waited for without a goroutine.
type BarrierBeginner interface {
	// BeginReadBarrier begins a ReadBarrier and returns at once; w is woken when it is done.
	// It may never be: who waits gives it up after a while.
	BeginReadBarrier(w Waker) *Barrier
}

// BeginBarrier begins a barrier if a read has to wait for one, and wakes w when it is done. It
// returns nil if no read has to wait now, or the log cannot say so.
func (s *Store) BeginBarrier(w Waker) *Barrier {
	if s.prompt == nil || s.barriers == nil || s.prompt.ReadBarrierNow() != ErrWouldWait {
		return nil
	}
	return s.barriers.BeginReadBarrier(w)
}
