package kv

// Follow has p learn of every change from now on, and of the present position as a Reset. It
// belongs to the goroutine that applies, and replaces StateOptions.Publisher.
func (s *State) Follow(p Publisher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Publisher = p
	p.Reset(Position{Epoch(s.epoch.Load()), s.mu.rev})
}

// Retire ends a state that the state of another server is about to replace. Snapshots of it are
// lost, and reads of values that are not in memory fail with ErrSnapshotLost. What is in memory can
// still be read, and applied to, but no publisher is told. It is safe for concurrent use.
func (s *State) Retire() {
	s.retired.Store(true)
	s.mu.Lock()
	s.opts.Publisher = discard{}
	for i, v := range s.mu.snaps.open {
		if !v.pinned {
			s.endViewLocked(i)
		}
	}
	s.mu.Unlock()
	run(s.dropSteps())
}

// leave wakes those who wait for a lock in a state that was replaced, and lets no request wait there any
// more: they ask the next one.
func (s *State) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.left = true
	for _, l := range s.mu.leases.byID {
		s.mu.locks.unpark(l)
	}
	s.mu.locks.wake()
}
