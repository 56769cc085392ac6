package web

import "keywatch/web/api"

// errStopping refuses what begins while the server stops.
var errStopping = &api.Failure{Code: api.CodeStopping, Detail: "the server is stopping"}

// Ready returns nil while requests are served, else why not; with leader set also if this
// server does not lead. Once Drain or Shutdown has begun it fails.
func (s *Server) Ready(leader bool) error {
	if s.stopping.Load() || s.leaving.Load() {
		return errStopping
	}
	if err := s.opts.Ready(); err != nil {
		return err
	}
	if leader && !s.opts.Leader() {
		return api.Refuse(api.CodeNoLeader, "this server is not the leader")
	}
	return nil
}

// ready answers whether requests are served.
func (r *request) ready() error {
	leader, err := r.params.flag("leader", false)
	if err != nil {
		return err
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if err := r.s.Ready(leader); err != nil {
		return err
	}
	r.text(200, "ready\n")
	return nil
}
