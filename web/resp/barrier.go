package resp

import (
	"context"

	"keywatch/kv"
)

// A GET that must wait until other servers agree that it is linearizable needs no runner: the
// session begins a barrier and continues once that is done. All that had been received when it began
// shares it.

// A barrier is what a session waits for, or has waited for.
type barrier struct {
	*kv.Barrier
	until context.Context // when it has failed
	// held runs the command that waits; nil once it has run. quiet says that it is not answered.
	held  func()
	quiet bool
	// covered is how many bytes it holds for that are not used.
	covered int
}

// asks begins a barrier if a read has to wait for one. The command runs once it is done.
func (s *session) asks(cmd *command, args [][]byte) bool {
	b := s.view().BeginBarrier(s)
	if b == nil {
		return false
	}
	args = cloneAll(args)
	s.barrier = &barrier{
		Barrier: b, until: s.server.deadline(), quiet: s.silent(),
		held: func() {
			defer s.recovered(args[0], s.replies.len())
			s.runPlan(cmd, args)
		},
	}
	s.blocked = true
	return true
}

// asking reports whether a barrier is waited for.
func (s *session) asking() bool { return s.barrier != nil && s.barrier.held != nil }

// agreed runs what has waited for a barrier that is done.
func (s *session) agreed() {
	if !s.asking() {
		return
	}
	b := s.barrier
	if b.until.Err() != nil {
		b.Finish(kv.ErrNoLeader)
	}
	if done, _ := b.Done(); !done {
		return
	}
	held := b.held
	b.held, s.blocked, s.fresh = nil, false, true
	s.silently(b.quiet, held)
	s.fresh = false
}

// uncover notes that a command of size bytes is next, and whether the barrier holds for it.
func (s *session) uncover(size int) {
	b := s.barrier
	if s.fresh = b != nil && b.covered > 0; s.fresh {
		b.covered = max(0, b.covered-size)
	}
}

// readNow returns the version of a key that has no wait before it.
func (s *session) readNow(key string) (*kv.Entry, error) {
	if !s.fresh {
		e, _, err := s.view().GetNow(key)
		return e, err
	}
	if _, err := s.barrier.Done(); err != nil {
		return nil, err
	}
	e, _, err := s.view().GetAfter(key)
	return e, err
}

// silent reports whether the command that runs is not answered.
func (s *session) silent() bool { return s.off || s.skip > 0 }

// silently calls f, whose replies are not sent if quiet is set.
func (s *session) silently(quiet bool, f func()) {
	if quiet {
		s.skip++
		defer func() { s.skip-- }()
	}
	f()
}
