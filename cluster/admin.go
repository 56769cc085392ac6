package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/kv"
)

const (
	// maxMembers is how many servers a cluster can have.
	maxMembers = 64
	// deadAfter is how long a server must be unreachable until another may take its name.
	deadAfter = 10 * time.Second
	// tellFor is how long a leader waits until the others know of a removal.
	tellFor = 3 * time.Second
)

// ErrHandedOver is returned by Remove at the leader itself: it has handed leadership over, and the new
// leader is to be asked.
var ErrHandedOver = errors.New("leadership was handed over: ask the new leader")

// ifLeader fails with kv.ErrNoLeader unless this server leads.
func (n *Node) ifLeader() (Standings, error) {
	s, err := n.Standings()
	if err == nil && !s.Leads {
		err = kv.ErrNoLeader
	}
	return s, err
}

// Join has a server be a member that gets the log and does not vote yet. What it is to become and
// whom it replaces is in m; replace, if not empty, names that server. It may be called again for the same id. Only
// a leader can: others fail with kv.ErrNoLeader.
func (n *Node) Join(ctx context.Context, m Member, replace string) error {
	return n.oneChange(func() error {
		s, err := n.ifLeader()
		if err != nil {
			return err
		}
		if len(s.Members) == 0 && n.opts.Founder != nil {
			return fmt.Errorf("%w: the first", ErrChangePending) // the steward founds the roster
		}
		if m.Replaces, err = s.placeFor(m, replace); err != nil {
			return err
		}
		if old, ok := s.Roster.Member(m.ID); ok {
			m.Since = old.Since
		} else {
			m.Since = time.Now().UnixMilli()
		}
		if err := n.updateRoster(ctx, func(r *Roster) error { r.put(m); return nil }); err != nil {
			return err
		}
		if now := n.store.Members(); slices.Contains(now.Voters, uint64(m.ID)) || slices.Contains(now.Learners, uint64(m.ID)) {
			return nil // it asks again; to add a voter as one that learns would take its vote
		}
		return n.change(ctx, changeOf(raftpb.ConfChangeAddLearnerNode, m.ID))
	})
}

// placeFor returns whom a server replaces that joins, 0 for none, or why it cannot join.
func (s *Standings) placeFor(m Member, replace string) (ServerID, error) {
	if s.Roster.WasRemoved(m.ID) {
		return 0, fmt.Errorf("%w: id %v", ErrRemoved, m.ID)
	}
	if _, ok := s.Roster.Member(m.ID); !ok && len(s.Members) >= maxMembers {
		return 0, fmt.Errorf("%w: the cluster has %d members, which is the limit", ErrRefused, maxMembers)
	}
	place := replace
	if x, ok := s.Find(m.Name); ok && x.ID != m.ID {
		switch {
		case x.Reachable && replace != m.Name:
			return 0, fmt.Errorf("%w: %s has the id %v and is at %s: give the new server another --name, or remove the old one first",
				ErrMemberExists, m.Name, x.ID, x.Peer)
		case !x.Reachable && time.Since(x.Changed) < deadAfter:
			return 0, fmt.Errorf("%w: %s, id %v, is not reachable for less than %v", ErrChangePending, m.Name, x.ID, deadAfter)
		}
		place = m.Name
	}
	if place == "" {
		return 0, nil
	}
	x, ok := s.Find(place)
	switch {
	case !ok:
		return 0, nil // it was replaced already, or is not there any more
	case x.ID == m.ID:
		return m.Replaces, nil
	case !x.Votes && !x.Learns:
		return x.ID, nil
	}
	return x.ID, nil
}

// Promote makes a server a voter. Voters are an odd number: a second one waits for a third, unless
// now is set. It fails with ErrMemberNotFound, ErrNotCaughtUp, ErrQuorumAtRisk, ErrChangePending, or
// kv.ErrNoLeader where this server does not lead.
func (n *Node) Promote(ctx context.Context, name string, now bool) error {
	return n.oneChange(func() error {
		s, err := n.ifLeader()
		if err != nil {
			return err
		}
		x, ok := s.Find(name)
		switch {
		case !ok:
			return fmt.Errorf("%w: %q", ErrMemberNotFound, name)
		case x.Votes:
			return nil
		case !n.near(x):
			return fmt.Errorf("%w: %s lacks %d entries", ErrNotCaughtUp, x.Name, x.Behind)
		}
		if x.Role != Voter {
			x.Role = Voter
			if err := n.updateRoster(ctx, func(r *Roster) error { r.put(x.Member); return nil }); err != nil {
				return err
			}
		}
		if s.Voters%2 == 1 && !now {
			return &evenError{x.Name, s.Voters + 1}
		}
		return n.change(ctx, changeOf(raftpb.ConfChangeAddNode, x.ID))
	})
}

// An evenError is why a server does not become a voter yet. It is an ErrQuorumAtRisk.
type evenError struct {
	name   string
	voters int
}

func (e *evenError) Error() string {
	return fmt.Sprintf("of %d voters no more can end than of %d: %s becomes a voter with the next server that joins, or at once with --now", e.voters, e.voters-1, e.name)
}

func (*evenError) Unwrap() error { return ErrQuorumAtRisk }

// Remove takes a server out of the cluster for good. A leader that is to remove itself hands over and
// returns ErrHandedOver. Else it fails as Promote does.
func (n *Node) Remove(ctx context.Context, name string) error {
	return n.oneChange(func() error {
		s, err := n.ifLeader()
		if err != nil {
			return err
		}
		x, ok := s.Find(name)
		if !ok {
			return fmt.Errorf("%w: %q", ErrMemberNotFound, name)
		}
		if live, all := s.live(x.ID); x.Votes && live < all/2+1 {
			return fmt.Errorf("%w: without %s %d of %d voters are reachable", ErrQuorumAtRisk, x.Name, live, all)
		}
		if x.ID == s.Self {
			if err := n.resign(ctx, 0); err != nil {
				return err
			}
			return ErrHandedOver
		}
		return n.remove(ctx, x)
	})
}

// remove removes a server, which is marked first: what is begun a leader ends, whichever it is then.
func (n *Node) remove(ctx context.Context, x Standing) error {
	x.Leaving = true
	if err := n.updateRoster(ctx, func(r *Roster) error { r.put(x.Member); return nil }); err != nil {
		return err
	}
	if x.Votes || x.Learns {
		if err := n.change(ctx, changeOf(raftpb.ConfChangeRemoveNode, x.ID)); err != nil {
			return err
		}
	}
	return n.dismiss(ctx, x.ID)
}

// dismiss tells a server that it was removed, once the voters know it: until then they may need it. Then
// no server talks to it any more.
func (n *Node) dismiss(ctx context.Context, id ServerID) error {
	n.awaitApplied(ctx)
	n.loop.ask(func() { n.opts.Send(uint64(id), Control, removedFrame{}.encode()) })
	sleep(ctx, 200*time.Millisecond) // the frame is on its way before its connection ends
	return n.updateRoster(ctx, func(r *Roster) error { r.remove(id); return nil })
}

// awaitApplied waits until all voters that can be reached have applied what this leader has, for a moment.
func (n *Node) awaitApplied(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tellFor)
	defer cancel()
	first, err := n.Standings()
	for err == nil && ctx.Err() == nil {
		var s Standings
		s, err = n.Standings()
		behind := false
		for _, m := range s.Members {
			behind = behind || m.Votes && m.Reachable && m.Applied < first.Applied
		}
		if !behind {
			return
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

// sleep waits, at most until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Transfer hands leadership over, to the server with a name or, if that is empty, the voter that is furthest
// along. It fails as Promote does.
func (n *Node) Transfer(ctx context.Context, name string) error {
	s, err := n.ifLeader()
	if err != nil {
		return err
	}
	if name == "" {
		return n.resign(ctx, 0)
	}
	x, ok := s.Find(name)
	switch {
	case !ok:
		return fmt.Errorf("%w: %q", ErrMemberNotFound, name)
	case x.ID == s.Self:
		return nil
	case !x.Votes:
		return fmt.Errorf("%w: %s is no voter", ErrNotCaughtUp, x.Name)
	case !x.Reachable:
		return fmt.Errorf("%w: %s is not reachable", ErrQuorumAtRisk, x.Name)
	}
	return n.resign(ctx, x.ID)
}

// handOverTime is how long handing over may take: an election, about.
const handOverTime = 2 * time.Second

// HandOver hands leadership over to the voter that is furthest along, if this server leads and there is
// one. It takes two seconds at most.
func (n *Node) HandOver(ctx context.Context) error {
	if n.alone() {
		return nil
	}
	s, err := n.Standings()
	if err != nil || !s.Leads || s.Voters < 2 {
		return err
	}
	return n.resign(ctx, 0)
}

// resign hands leadership over to a voter, or, for 0, the one that is furthest along.
func (n *Node) resign(ctx context.Context, to ServerID) error {
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	s, err := n.Standings()
	if err != nil {
		return err
	}
	if to == 0 {
		if to = s.successor(); to == 0 {
			return fmt.Errorf("%w: no other voter can lead", ErrQuorumAtRisk)
		}
	}
	if !n.loop.ask(func() { n.loop.core.Transfer(uint64(to)) }) {
		return kv.ErrStopping
	}
	for {
		sleep(ctx, 5*time.Millisecond)
		s, err := n.Standings()
		if err != nil {
			return err
		}
		if s.Leader != 0 && s.Leader != s.Self {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: no other voter leads after %v", ErrQuorumAtRisk, handOverTime)
		}
	}
}

// successor returns the voter that is to lead next: one with room on its disk that lacks the least.
func (s *Standings) successor() (best ServerID) {
	var least Standing
	for _, m := range s.Members {
		if m.ID == s.Self || !m.Votes || !m.Reachable {
			continue
		}
		if best == 0 || m.Room && !least.Room || m.Room == least.Room && m.Behind < least.Behind {
			best, least = m.ID, m
		}
	}
	return best
}
