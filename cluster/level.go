package cluster

import (
	"context"
	"fmt"
	"time"

	"keywatch/kv"
)

// Level is the newest level that this release knows. A level is a set of formats and commands: what is logged and
// sent is of the level that the roster names, which rises only once all members know the next.
const Level = 4

// levelFor is how long all members must have known a level before the cluster rises to it: a release that is put
// back at once changes nothing.
const levelFor = time.Minute

// knownToAll refuses a command that a member could not apply.
func (n *Node) knownToAll(c *kv.Command) error {
	if n.opts.LevelOf == nil || n.alone() {
		return nil
	}
	needs, has := n.opts.LevelOf(c), max(kv.MinLevel, n.Roster().Level)
	if needs <= has {
		return nil
	}
	return fmt.Errorf("%w: it needs level %d, and the cluster has level %d: upgrade all members, keywatch cluster status shows their versions", kv.ErrLevel, needs, has)
}

// ownLevel returns the level that this server says it knows.
func (n *Node) ownLevel() int {
	if level := n.about().Level; level > 0 {
		return min(level, n.opts.Level)
	}
	return n.opts.Level
}

// least returns the least level of the members, 0 if one of them is not there to say.
func (v *Standings) least() (least int) {
	for i, m := range v.Members {
		switch {
		case !m.Reachable || time.Since(m.Heard) > heardFor || m.About.Level == 0:
			return 0
		case i == 0 || m.About.Level < least:
			least = m.About.Level
		}
	}
	return least
}

// planLevel raises the level of the cluster once all members have known a higher one for long enough.
func (n *Node) planLevel(v *Standings, s *steward, now time.Time) func(context.Context) error {
	if all := min(v.least(), n.opts.Level); all != s.all {
		s.all, s.since = all, now
	}
	if s.all <= v.Roster.Level || now.Sub(s.since) < settled() {
		return nil
	}
	level := s.all
	return func(ctx context.Context) error {
		n.opts.Logger.Info("the cluster rises to another level: a release that does not know it cannot be a member any more", "level", level, "before", v.Roster.Level)
		return n.updateRoster(ctx, func(r *Roster) error { r.Level = level; return nil })
	}
}
