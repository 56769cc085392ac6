package web

import (
	"cmp"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
)

// A read that must wait until other servers agree that it is linearizable does not leave its event
// loop: the session begins a barrier and reads on once that is done: see api.Barrier.

// asks begins a barrier if the read in p has to wait for one, and reports whether it does. b is what
// was read and not used, from that read on.
func (n *session) asks(p *fastPath, b []byte) bool {
	if p.head.method[0] != 'G' || n.barrier.Holds() || !n.s.mayAsk(&p.head) {
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

// mayAsk reports whether a read with this head may have other servers asked. One that is refused
// for its credential is refused without.
func (s *Server) mayAsk(h *fastHead) bool {
	table := s.door.Table()
	if table == nil {
		return true
	}
	if secret := h.secret(); secret != nil {
		_, err := table.Authenticate(secret)
		return err == nil
	}
	return !table.Anonymous().Look().Empty()
}

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
