package cluster

import (
	"context"
	"time"
)

// fullFor is how long the disk of a leader must have been full before it hands over: a checkpoint may make room.
const fullFor = 2 * time.Second

// planRoom has another voter lead where the disk of this server is full: all writes wait for the leader's, but of the
// others' only for those of a majority. With less than that nothing is gained.
func (n *Node) planRoom(v *Standings, s *steward, now time.Time) func(context.Context) error {
	self, roomy := false, 0
	for _, m := range v.Members {
		if !m.Votes || !m.Reachable || !m.Room {
			continue
		}
		roomy++
		self = self || m.ID == v.Self
	}
	if self {
		s.full = time.Time{}
		return nil
	}
	if s.full.IsZero() {
		s.full = now
	}
	to := v.successor()
	if _, near := s.near[to]; !near || roomy < v.Quorum() || now.Sub(s.full) < fullFor {
		return nil
	}
	return func(ctx context.Context) error {
		n.opts.Logger.Warn("the disk of this server is full, and others have room: one of them is to lead", "to", to)
		return n.resign(ctx, to)
	}
}
