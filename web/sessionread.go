package web

import (
	"cmp"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
)

// A read that must wait until other servers agree that it is linearizable does not leave its event
// loop: the session begins a barrier and reads on once that is done: see api.Barrier.

// asks begins a barrier if the request in p has to wait for one, and reports whether it does: a read, or one whose
// credential this server does not know yet. b is what was read and not used, from that request on.
func (n *session) asks(p *fastPath, b []byte) bool {
	if n.barrier.Holds() {
		return false
	}
	begun := n.barrierFor(&p.head)
	if begun == nil {
		return false
	}
	n.barrier = api.NewBarrier(begun, len(b), begun.Began().Add(n.s.opts.RequestTimeout))
	n.own.enter(phaseWorking)
	return true
}

// barrierFor begins the barrier that a request with this head waits for; nil for none. One that is refused for its
// credential waits for none, unless that may be new.
func (n *session) barrierFor(h *fastHead) *kv.Barrier {
	table, reads := n.s.door.Table(), h.method[0] == 'G'
	if !reads && (table == nil || !table.CatchesUp()) {
		return nil
	}
	err := n.s.refuses(table, h)
	switch {
	case auth.MayBeNew(err):
		return table.CatchUp(n.sock)
	case err != nil || !reads:
		return nil
	}
	return n.s.door.As(nil).BeginBarrier(n.sock)
}

// refuses returns why a request with this head is refused for its credential, nil if it may not be.
func (s *Server) refuses(table *auth.Table, h *fastHead) (err error) {
	if table == nil {
		return nil
	}
	if secret := h.secret(); secret != nil {
		_, err = table.Authenticate(secret)
	} else if table.Anonymous().Look().Empty() {
		err = errMissing
	}
	return err
}

// errMissing refuses who has no credential and may do nothing without.
var errMissing error = &auth.FailedError{Reason: auth.Missing}

// secret returns the secret in Authorization or, without that, in the cookie; nil for none.
func (h *fastHead) secret() (secret []byte) {
	switch {
	case h.has(fastAuthorization):
		secret, _ = credential(h.values[fastAuthorization])
	case h.has(fastCookie):
		secret, _ = cookie(h.values[fastCookie])
	}
	return secret
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
		_, denied := r.view().MayKey(auth.Read, r.key) // which comes before what other servers say
		return nil, kv.Position{}, cmp.Or(denied, err)
	}
	return r.view().GetAfter(r.key)
}
