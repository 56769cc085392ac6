package web

import (
	"time"

	"keywatch/kv"
)

// A read that must wait until other servers agree that it is linearizable does not leave its event
// loop: the session begins a barrier and reads on once that is done. All reads that had arrived when
// it began share it. Nothing behind the first of them is begun before, so that answers and effects
// keep their order.

// asks begins a barrier if the read in p has to wait for one, and reports whether it does. b is what
// was read and not used, from that read on.
func (n *session) asks(p *fastPath, b []byte) bool {
	if p.head.method[0] != 'G' || n.covered > 0 {
		return false
	}
	if n.barrier = n.s.door.As(nil).BeginBarrier(n.sock); n.barrier == nil {
		return false
	}
	n.asking, n.covered = true, int32(len(b))
	n.own.enter(phaseWorking)
	return true
}

// agreed sees whether the barrier is done. One that takes too long has failed.
func (n *session) agreed(now time.Time) {
	if !n.asking {
		return
	}
	if !now.Before(n.askedUntil()) {
		n.barrier.Finish(kv.ErrNoLeader)
	}
	done, _ := n.barrier.Done()
	n.asking = !done
}

// askedUntil returns when the barrier is not waited for any longer.
func (n *session) askedUntil() time.Time { return n.barrier.Began().Add(n.s.opts.RequestTimeout) }

// uncover notes that size bytes were used.
func (n *session) uncover(size int) {
	if n.covered = max(0, n.covered-int32(size)); n.covered == 0 {
		n.barrier = nil
	}
}

// readAfter is read once the request's barrier is done.
func (r *request) readAfter() (*kv.Entry, kv.Position, error) {
	if _, err := r.after.Done(); err != nil {
		return nil, kv.Position{}, err
	}
	return r.view().GetAfter(r.key)
}
