package web

import (
	"keywatch/kv"
	"keywatch/web/api"
)

// A read that must wait until other servers agree that it is linearizable does not leave its event
// loop: the session begins a barrier and reads on once that is done: see api.Barrier.

// asks begins a barrier if the read in p has to wait for one, and reports whether it does. b is what
// was read and not used, from that read on.
func (n *session) asks(p *fastPath, b []byte) bool {
	if p.head.method[0] != 'G' || n.barrier.Holds() {
		return false
	}
	begun := n.s.door.As(nil).BeginBarrier(n.sock)
	if begun == nil {
		return false
	}
	n.barrier = api.NewBarrier(begun, len(b), begun.Began().Add(n.s.opts.RequestTimeout))
	n.own.enter(phaseWorking)
	return true
}

// uncover notes that size bytes were used.
func (n *session) uncover(size int) {
	if n.barrier.Use(size); !n.barrier.Holds() {
		n.barrier = nil
	}
}

// readAfter is read once the request's barrier is done.
func (r *request) readAfter() (*kv.Entry, kv.Position, error) {
	if err := r.after.Err(); err != nil {
		return nil, kv.Position{}, err
	}
	return r.view().GetAfter(r.key)
}
