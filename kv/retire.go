package kv

// Follow has p learn of every change from now on, and of the present position as a Reset. It
// belongs to the goroutine that applies, and replaces StateOptions.Publisher.
func (s *State) Follow(p Publisher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Publisher = p
	p.Reset(Position{Epoch(s.epoch.Load()), s.mu.rev})
}

// FollowPrivate has w learn of every change of private records from now on, and of all there are
// as a PrivateReset. It belongs to the goroutine that applies, replaces StateOptions.Private, and
// comes before anything of the state is shown.
func (s *State) FollowPrivate(w PrivateWatcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Private = w
	s.mu.private.told = s.mu.private.auth
	w.PrivateReset(s.mu.private.all, s.mu.private.auth, Epoch(s.epoch.Load()))
}

// TellPrivate has the watcher of private records be given all of them again, as a PrivateReset: one that
// could not read them before may now. It is safe for concurrent use.
func (s *State) TellPrivate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.private.told = s.mu.private.auth
	s.opts.Private.PrivateReset(s.mu.private.all, s.mu.private.auth, Epoch(s.epoch.Load()))
}

// Retire ends a state that the state of another server is about to replace. Snapshots of it are
// lost, and reads of values that are not in memory fail with ErrSnapshotLost. What is in memory can
// still be read, and applied to, but no publisher is told. It is safe for concurrent use.
func (s *State) Retire() {
	s.retired.Store(true)
	s.mu.Lock()
	s.opts.Publisher, s.opts.Private = discard{}, noPrivateWatcher{}
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
