package web

// PlainAnswered returns how many requests were read as plain.
func (s *Server) PlainAnswered() int64 { return s.metrics.plain.Value() }

// Reading returns how many connections have sent a part of a request.
func (s *Server) Reading() (n int) {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	for own := range s.conns.mu.all {
		if phase(own.at.Load()) == phaseReading {
			n++
		}
	}
	return n
}

// PlainClosing reports whether a connection was closed while a plain request is
// being answered on it.
func (s *Server) PlainClosing() bool {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	for own := range s.conns.mu.all {
		if own.plain.Load() == plainClosed {
			return true
		}
	}
	return false
}

// A PlainRequest is what was read of a plain request.
type PlainRequest struct {
	Method, Target, Host, Body []byte
	Kept                       map[string][]byte
}

// ReadPlain reads a plain request.
func ReadPlain(b []byte) (PlainRequest, bool) {
	var h plainHead
	if !h.read(b) {
		return PlainRequest{}, false
	}
	r := PlainRequest{h.method, h.target, h.values[plainHost], h.body, make(map[string][]byte)}
	for i := plainKept; i < len(plainFields); i++ {
		if h.has(i) {
			r.Kept[plainFields[i]] = h.values[i]
		}
	}
	return r, true
}
