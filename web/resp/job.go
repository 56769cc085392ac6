package resp

import "keywatch/web/resp/wire"

// What may wait runs on a runner, of which a session has one at a time.

// runSlow runs a command on a runner, which does not wait for a barrier too.
func (s *session) runSlow(cmd *command, args [][]byte) {
	c := s.call(cmd, cloneAll(args))
	if cmd.snapshots {
		if b := s.mustWait(); b != nil {
			s.park(b, c.args[0], func() { s.runSlow(cmd, c.args) })
			return
		}
		if c.after = s.fresh; c.after && s.barrier.Err() != nil {
			s.fail(s.barrier.Err())
			return
		}
	}
	s.job(func() reply {
		text, err := cmd.slow(c)
		if err != nil {
			text = wire.AppendError(nil, c.explain(err))
		}
		return reply{text: text}
	})
}

// job has run called on a runner, once all that the connection has begun is applied. Nothing
// more is parsed until its reply is there.
func (s *session) job(run func() reply) {
	s.blocked, s.jobQuiet = true, s.silent()
	last := s.last
	ctx, span := s.server.deadline(), s.takeSpan()
	s.server.runners.Run(func() {
		if last != nil {
			select {
			case <-last.Done():
			case <-ctx.Done():
			}
		}
		r := s.guarded(run)
		endSpan(span, nil)
		s.mu.Lock()
		s.mu.result = &r
		s.mu.Unlock()
		s.Wake()
	})
}

// guarded calls run, and answers for it if it panics.
func (s *session) guarded(run func() reply) (r reply) {
	defer func() {
		if p := recover(); p != nil {
			s.server.opts.Logger.Error("command panicked", "panic", p)
			r = reply{text: wire.AppendError(nil, "ERR internal error")}
		}
	}()
	return run()
}

func cloneAll(args [][]byte) [][]byte {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	all := make([]byte, 0, size)
	out := make([][]byte, len(args))
	for i, a := range args {
		at := len(all)
		all = append(all, a...)
		out[i] = all[at:len(all):len(all)]
	}
	return out
}
