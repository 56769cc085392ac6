package cluster

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"keywatch/kv"
)

// About is what a server says about itself.
type About struct {
	Name    string `json:"name"`
	Peer    string `json:"peer"`
	URL     string `json:"url"`
	Version string `json:"version"`
	Level   int    `json:"level"`
	// Election is its election timeout in milliseconds, 0 if it does not say.
	Election int64 `json:"election_ms,omitempty"`
	// Free is how many bytes its disk has free; 0 if that is not known.
	Free int64 `json:"disk_free,omitempty"`
}

// A Standing is how one member does, as a leader sees it; another server knows of itself only.
type Standing struct {
	Member
	// Votes says that it is a voter now; Learns that it gets the log and does not vote.
	Votes, Learns bool
	// Reachable says that it is connected to this server, Since is when that changed.
	Reachable bool
	Changed   time.Time
	// Behind is how many entries it is known to lack.
	Behind uint64
	// Installing says that it is sent a state in place of the log, or loads one.
	Installing bool
	// Differs says that its state is not that of the leader after the same log entry. Only a leader knows.
	Differs bool
	// Heard is when its last report came; zero for none. The rest is what the report says.
	Heard   time.Time
	Applied uint64
	Lag     time.Duration
	Room    bool
	About   About
}

// Standings are how the cluster does, as one server sees it.
type Standings struct {
	Roster  Roster
	Self    ServerID
	Leader  ServerID // 0 if none is known
	Leads   bool     // this server takes changes of the members
	Term    uint64
	Commit  uint64
	Applied uint64
	Voters  int
	// Joint says that a change of voters is between its two steps.
	Joint   bool
	Members []Standing
}

// Quorum returns how many voters are a majority.
func (s *Standings) Quorum() int { return s.Voters/2 + 1 }

// Find returns the member with a name or id.
func (s *Standings) Find(name string) (Standing, bool) {
	i := slices.IndexFunc(s.Members, func(m Standing) bool { return m.Name == name || m.ID.String() == name })
	if i < 0 {
		return Standing{}, false
	}
	return s.Members[i], true
}

// live returns how many of the voters, but for those that leave, are reachable.
func (s *Standings) live(leave ...ServerID) (live, all int) {
	for _, m := range s.Members {
		if !m.Votes || slices.Contains(leave, m.ID) {
			continue
		}
		all++
		if m.Reachable {
			live++
		}
	}
	return live, all
}

// Standings returns how the cluster does. It fails with kv.ErrStopping once the node has ended.
func (n *Node) Standings() (s Standings, err error) {
	done, err := n.askStandings()
	if err != nil {
		return s, err
	}
	return <-done, nil
}

// StandingsWithin is Standings for those who cannot wait, as a disk that hangs would have them do: after d it
// returns what was known last, which is the zero value if nothing was.
func (n *Node) StandingsWithin(d time.Duration) (s Standings, err error) {
	done, err := n.askStandings()
	if err != nil {
		return s, err
	}
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case s = <-done:
		n.stood.Store(&s)
	case <-late.C:
		if last := n.stood.Load(); last != nil {
			s = *last
		}
	}
	return s, nil
}

// askStandings has the loop send how the cluster does, once.
func (n *Node) askStandings() (<-chan Standings, error) {
	done := make(chan Standings, 1)
	if !n.loop.ask(func() { done <- n.standings() }) {
		return nil, kv.ErrStopping
	}
	return done, nil
}

// standings is Standings for the loop.
func (n *Node) standings() Standings {
	l, m := &n.loop, n.store.Members()
	s := Standings{
		Roster: n.Roster(), Self: ServerID(n.opts.ID), Leader: ServerID(l.core.Leader()), Leads: l.leading != 0,
		Term: l.core.CurrentTerm(), Commit: l.core.Commit(), Applied: l.applied.Index,
		Voters: len(m.Voters), Joint: len(m.VotersOutgoing) > 0,
	}
	progress := l.core.Status().Progress
	for _, member := range s.Roster.Members {
		s.Members = append(s.Members, n.standing(member, m, progress[uint64(member.ID)], s.Commit))
	}
	return s
}

func (n *Node) standing(member Member, m *raftpb.ConfState, p tracker.Progress, commit uint64) Standing {
	id := uint64(member.ID)
	x := Standing{
		Member: member, Votes: slices.Contains(m.Voters, id),
		Learns: slices.Contains(m.Learners, id) || slices.Contains(m.LearnersNext, id),
	}
	if id == n.opts.ID {
		x.Reachable, x.Room, x.About = true, n.room() == nil, n.about()
		x.Applied, x.Lag, x.Heard = n.loop.applied.Index, n.Lag(), time.Now()
		x.Behind, x.Installing = commit-min(commit, x.Applied), n.installs()
		return x
	}
	if n.opts.Reach != nil {
		x.Reachable, x.Changed = n.opts.Reach(id)
	}
	if n.loop.leading != 0 {
		x.Behind, x.Installing = commit-min(commit, p.Match), p.State == tracker.StateSnapshot
		_, x.Differs = n.loop.differ[id]
	}
	if r := n.reports[id]; r != nil {
		x.Heard, x.Applied, x.Lag, x.Room = r.at, r.applied, r.lag, r.room
		x.About, x.Installing = r.about, x.Installing || r.installing
	}
	return x
}

func (n *Node) about() About {
	if n.opts.About == nil {
		return About{}
	}
	return n.opts.About()
}
