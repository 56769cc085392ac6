package cluster

import (
	"context"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

const (
	// tendEvery is how often the steward looks.
	tendEvery = 250 * time.Millisecond
	// nearFor is how long a server must have been near before it becomes a voter.
	nearFor = 10 * time.Second
	// nearEntries and nearBytes are how much a server may lack that is near.
	nearEntries = 1024
	nearBytes   = 1 << 20
	// heardFor is for how long a report says how a server does.
	heardFor = 3 * time.Second
	// maxVoters is how many voters there are at most.
	maxVoters = 5
)

// A steward is the goroutine that looks after the members while this server leads: it promotes who has
// caught up, replaces who is to be replaced, and ends removals that were begun. It removes no server
// on its own. Raft checks none of that: a voter that has nothing would take the quorum away.
type steward struct {
	term uint64
	// all is the least level of the members, if they are all there, and since when.
	all   int
	since time.Time
	near  map[ServerID]time.Time // since when each has been near
	full  time.Time              // since when the disk of this server has been full
}

// tend is the goroutine.
func (n *Node) tend() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { <-n.stop; cancel() }()
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	var s steward
	for {
		select {
		case <-tick.C:
			n.tendOnce(ctx, &s)
		case <-n.stop:
			return
		}
	}
}

// tendOnce looks once, and makes at most one change.
func (n *Node) tendOnce(ctx context.Context, s *steward) {
	view, err := n.Standings()
	if err != nil || !view.Leads {
		return
	}
	if view.Term != s.term || s.near == nil {
		*s = steward{term: view.Term, near: make(map[ServerID]time.Time)}
	}
	now := time.Now()
	for _, m := range view.Members {
		if _, known := s.near[m.ID]; !n.near(m) {
			delete(s.near, m.ID)
		} else if !known {
			s.near[m.ID] = now
		}
	}
	do := n.plan(&view, s, now)
	if do == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	err = n.oneChange(func() error { return do(ctx) })
	if err != nil {
		n.opts.Logger.Warn("a change of the members waits", "err", err)
	}
}

// near reports whether a server lacks so little that it can become a voter. In a young store one that has nothing lacks
// little.
func (n *Node) near(m Standing) bool {
	return m.Reachable && m.Applied > 0 && !m.Installing && !m.Differs && (m.Votes || m.Learns) && m.Behind <= nearEntries &&
		n.store.BytesAfter(m.Applied) <= nearBytes && time.Since(m.Heard) < heardFor
}

// plan returns what is to be done next, nil for nothing.
func (n *Node) plan(v *Standings, s *steward, now time.Time) func(context.Context) error {
	if len(v.Roster.Members) == 0 {
		return n.found
	}
	if do := n.planRoom(v, s, now); do != nil || v.Joint {
		return do
	}
	for _, m := range v.Members {
		if m.Leaving && m.ID != v.Self {
			return func(ctx context.Context) error { return n.remove(ctx, m) }
		}
		if a := m.About; a.Peer != "" && (a.URL != m.URL || a.Peer != m.Peer) {
			return func(ctx context.Context) error { return n.readdress(ctx, m.Member, a) }
		}
	}
	if do := n.planLevel(v, s, now); do != nil {
		return do
	}
	return n.planVoters(v, s.ready(v, now, n.settleTime(v)))
}

// ready returns the servers that are to become voters and have been near for long enough.
func (s *steward) ready(v *Standings, now time.Time, settle time.Duration) (ready []Standing) {
	for _, m := range v.Members {
		since, near := s.near[m.ID]
		if near && m.Learns && m.Role == Voter && now.Sub(since) >= settle {
			ready = append(ready, m)
		}
	}
	return ready
}

// settleTime returns how long a server must be near: servers of a cluster that is just beginning need not
// wait.
func (n *Node) settleTime(v *Standings) time.Duration {
	if v.Voters < n.opts.Expect {
		return 0
	}
	return nearFor
}

// planVoters returns the next change of voters: a replacement, or two more where they are an odd number.
func (n *Node) planVoters(v *Standings, ready []Standing) func(context.Context) error {
	for _, m := range ready {
		old, ok := v.Find(m.Replaces.String())
		if m.Replaces == 0 || !ok {
			continue
		}
		if old.ID == v.Self {
			return func(ctx context.Context) error { return n.resign(ctx, 0) }
		}
		return func(ctx context.Context) error { return n.replace(ctx, old, m) }
	}
	need := 1
	if v.Voters%2 == 1 {
		need = 2
	}
	if len(ready) < need || v.Voters+need > maxVoters {
		return nil
	}
	var changes []*raftpb.ConfChangeSingle
	for _, m := range ready[:need] {
		changes = append(changes, changeOf(raftpb.ConfChangeAddNode, m.ID))
		n.opts.Logger.Info("a server becomes a voter", "name", m.Name, "id", m.ID)
	}
	return func(ctx context.Context) error { return n.change(ctx, changes...) }
}

// replace has a server take the place of another, in one change.
func (n *Node) replace(ctx context.Context, old, m Standing) error {
	add := raftpb.ConfChangeAddNode
	if !old.Votes {
		add = raftpb.ConfChangeAddLearnerNode
	}
	changes := []*raftpb.ConfChangeSingle{changeOf(raftpb.ConfChangeRemoveNode, old.ID)}
	if old.Votes {
		changes = append(changes, changeOf(add, m.ID))
	}
	if old.Votes || old.Learns {
		n.opts.Logger.Info("a server is replaced", "name", old.Name, "id", old.ID, "by", m.ID)
		if err := n.change(ctx, changes...); err != nil {
			return err
		}
	}
	m.Replaces = 0
	if err := n.updateRoster(ctx, func(r *Roster) error { r.put(m.Member); return nil }); err != nil {
		return err
	}
	return n.dismiss(ctx, old.ID)
}

// found writes the first roster of a store: with this server.
func (n *Node) found(ctx context.Context) error {
	if n.opts.Founder == nil {
		return nil
	}
	return n.updateRoster(ctx, func(r *Roster) error {
		m := *n.opts.Founder
		m.Since = time.Now().UnixMilli()
		r.Cluster = n.opts.Cluster
		r.put(m)
		return nil
	})
}

// readdress notes that a server has other addresses.
func (n *Node) readdress(ctx context.Context, m Member, a About) error {
	m.Peer, m.URL = a.Peer, a.URL
	return n.updateRoster(ctx, func(r *Roster) error { r.put(m); return nil })
}
