package resp

// A client that closes its sending side is half closed, or gone: nothing tells the two apart.

// Ended implements reactor.Answerer: what the client has asked before is answered.
func (s *session) Ended() bool {
	s.ended = true
	s.sock.Wake()
	return s.Stays()
}

// Stays implements reactor.Answerer. Who waits for a lock would get it although it has left.
func (s *session) Stays() bool {
	s.left.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.onGone == nil
}

// whenGone has do called if the client leaves before the function is called that it returns.
func (s *session) whenGone(do func()) (done func()) {
	s.mu.Lock()
	s.mu.onGone = do
	s.mu.Unlock()
	if s.gone.Load() || s.left.Load() {
		do()
	}
	return func() {
		s.mu.Lock()
		s.mu.onGone = nil
		s.mu.Unlock()
	}
}
