package resp

import (
	"time"

	"keywatch/kv"
	"keywatch/web/api"
)

// A read that must wait until other servers agree that it is linearizable needs no runner: the
// session begins a barrier and continues once that is done: see api.Barrier.

// A parked command waits for the barrier of its session.
type parked struct {
	run func()
	// quiet says that it is not answered.
	quiet bool
}

// mustWait begins a barrier if the read at hand has to wait for one, and returns nil if not.
func (s *session) mustWait() *kv.Barrier {
	if s.fresh {
		return nil
	}
	return s.view().BeginBarrier(s)
}

// park has run, which runs the command name, called once b is done.
func (s *session) park(b *kv.Barrier, name []byte, run func()) {
	until, _ := s.server.deadline().Deadline()
	s.barrier = api.NewBarrier(b, s.behind, until)
	s.parked = &parked{quiet: s.silent(), run: func() {
		defer s.recovered(name, s.replies.len())
		run()
	}}
	s.blocked = true
}

// agreed runs the command that has waited for a barrier that is done.
func (s *session) agreed(now time.Time) {
	if s.parked == nil || s.barrier.Look(now) {
		return
	}
	p := s.parked
	s.parked, s.blocked, s.fresh = nil, false, true
	s.silently(p.quiet, p.run)
	s.fresh = false
}

// uncover notes that a command of size bytes is next, and whether the barrier holds for it.
func (s *session) uncover(size int) {
	s.fresh = s.barrier.Holds()
	s.barrier.Use(size)
}

// getNow returns the version of a key that has no wait before it.
func (s *session) getNow(key string) (*kv.Entry, error) {
	if !s.fresh {
		e, _, err := s.view().GetNow(key)
		return e, err
	}
	if err := s.barrier.Err(); err != nil {
		return nil, err
	}
	e, _, err := s.view().GetAfter(key)
	return e, err
}

// doNow returns the result of a command that only reads and has no wait before it. With meta set
// values may be missing: see kv.Store.DoNow.
func (s *session) doNow(k *kv.Command, meta bool) (kv.Result, error) {
	if !s.fresh {
		return s.view().DoNow(k, meta)
	}
	if err := s.barrier.Err(); err != nil {
		return kv.Result{}, err
	}
	return s.view().DoAfter(k, meta)
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
