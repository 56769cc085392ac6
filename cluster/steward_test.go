package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/cluster"
)

// rostered runs a test with three nodes whose roster names all of them.
func rostered(t *testing.T, test func(w *team, told *[4]atomic.Int32)) {
	rosteredAs(t, func(int, *cluster.Options) {}, test)
}

// rosteredAs is rostered with nodes that have other options.
func rosteredAs(t *testing.T, change func(id int, o *cluster.Options), test func(w *team, told *[4]atomic.Int32)) {
	var told [4]atomic.Int32
	var w *team
	inTeam(t, func(id int, o *cluster.Options) {
		name := fmt.Sprint("n", id)
		o.Cluster, o.Founder = "c", &cluster.Member{ID: cluster.ServerID(id), Name: name, Role: cluster.Voter, Peer: name + ":7071"}
		o.About = func() cluster.About { return cluster.About{Name: name, Peer: name + ":7071", Version: "v"} }
		o.Reach = func(to uint64) (bool, time.Time) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return to < 4 && w.node[to] != nil && !w.cut[to] && !w.cut[id], time.Time{}
		}
		o.Removed = func() { told[id].Add(1) }
		change(id, o)
	}, func(made *team) {
		w = made
		l := w.leader()
		time.Sleep(time.Second) // the roster is founded
		for id := 1; id <= 3; id++ {
			if err := w.node[l].Join(w.t.Context(), *w.opts[id].Founder, ""); err != nil {
				w.t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		test(w, &told)
	})
}

// others returns the two nodes that are not one.
func others(id int) (a, b int) { return id%3 + 1, (id+1)%3 + 1 }

// Each server must know who the others are, and the leader how they do.
func TestStandings(t *testing.T) {
	rostered(t, func(w *team, _ *[4]atomic.Int32) {
		l := w.leader()
		for id := 1; id <= 3; id++ {
			r := w.node[id].Roster()
			if len(r.Members) != 3 || r.Cluster != "c" || r.Level != cluster.Level {
				w.t.Errorf("node %d has the roster %+v", id, r)
			}
		}
		s, err := w.node[l].Standings()
		if err != nil || !s.Leads || s.Voters != 3 || s.Quorum() != 2 || s.Leader != cluster.ServerID(l) {
			w.t.Fatalf("got %+v, %v", s, err)
		}
		for _, m := range s.Members {
			if !m.Votes || !m.Reachable || m.Behind != 0 || !m.Room || m.About.Version != "v" || m.Applied != s.Applied {
				w.t.Errorf("%+v", m)
			}
		}
	})
}

// A removed server must be told, and must not count any more; what would leave no majority that can be
// reached must be refused, and so must what is not there.
func TestRemove(t *testing.T) {
	rostered(t, func(w *team, told *[4]atomic.Int32) {
		l := w.leader()
		gone, stays := others(l)
		if err := w.node[gone].Remove(w.t.Context(), "n1"); err == nil {
			w.t.Error("a follower removes a member")
		}
		if err := w.node[l].Remove(w.t.Context(), "n9"); !errors.Is(err, cluster.ErrMemberNotFound) {
			w.t.Errorf("got %v, want %v", err, cluster.ErrMemberNotFound)
		}
		w.isolate(gone, true)
		if err := w.node[l].Remove(w.t.Context(), fmt.Sprint("n", stays)); !errors.Is(err, cluster.ErrQuorumAtRisk) {
			w.t.Errorf("got %v, want %v", err, cluster.ErrQuorumAtRisk)
		}
		w.isolate(gone, false)
		time.Sleep(time.Second)
		l = w.leader()
		if l == gone {
			gone, stays = others(l)
		} else {
			stays = 6 - l - gone
		}
		if err := w.node[l].Remove(w.t.Context(), fmt.Sprint("n", gone)); err != nil {
			w.t.Fatal(err)
		}
		if told[gone].Load() == 0 || told[stays].Load()+told[l].Load() > 0 {
			w.t.Errorf("told of a removal: %v, want only node %d", told, gone)
		}
		time.Sleep(time.Second)
		for _, id := range []int{l, stays} {
			r := w.node[id].Roster()
			if !r.WasRemoved(cluster.ServerID(gone)) || len(r.Members) != 2 {
				w.t.Errorf("node %d has the roster %+v", id, r)
			}
		}
		s, err := w.node[l].Standings()
		if err != nil || s.Voters != 2 {
			w.t.Errorf("%d voters, want 2: %v", s.Voters, err)
		}
		if err := w.node[l].Join(w.t.Context(), *w.opts[gone].Founder, ""); !errors.Is(err, cluster.ErrRemoved) {
			w.t.Errorf("a removed server joins: got %v", err)
		}
		w.put(stays, "k", "v")
		time.Sleep(20 * time.Second)
		if now := w.leader(); now == gone {
			w.t.Error("a removed server leads")
		}
	})
}

// Leadership must go where it is sent, within less time than an election; a leader that is to remove
// itself hands over first.
func TestTransfer(t *testing.T) {
	rostered(t, func(w *team, _ *[4]atomic.Int32) {
		l := w.leader()
		a, _ := others(l)
		began := time.Now()
		if err := w.node[l].Transfer(w.t.Context(), fmt.Sprint("n", a)); err != nil {
			w.t.Fatal(err)
		}
		if took := time.Since(began); w.leader() != a || took > time.Second {
			w.t.Errorf("%d leads after %v, want %d", w.leader(), took, a)
		}
		time.Sleep(time.Second)
		if err := w.node[a].Remove(w.t.Context(), fmt.Sprint("n", a)); !errors.Is(err, cluster.ErrHandedOver) {
			w.t.Errorf("got %v, want %v", err, cluster.ErrHandedOver)
		}
		next := w.leader()
		if next == a {
			w.t.Fatal("it has not handed over")
		}
		if err := w.node[next].Remove(w.t.Context(), fmt.Sprint("n", a)); err != nil {
			w.t.Error(err)
		}
		if err := w.node[next].HandOver(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
}

// Two servers with one name cannot be told apart: the second is refused while the first is reachable, and
// takes its place once that is dead.
func TestNameIsTaken(t *testing.T) {
	rostered(t, func(w *team, _ *[4]atomic.Int32) {
		l := w.leader()
		dead, _ := others(l)
		m := cluster.Member{ID: 7, Name: fmt.Sprint("n", dead), Role: cluster.Voter, Peer: "n7:7071"}
		if err := w.node[l].Join(w.t.Context(), m, ""); !errors.Is(err, cluster.ErrMemberExists) {
			w.t.Errorf("got %v, want %v", err, cluster.ErrMemberExists)
		}
		w.stop(dead)
		time.Sleep(time.Second)
		if err := w.node[l].Join(w.t.Context(), m, ""); err != nil {
			w.t.Fatal(err)
		}
		r := w.node[l].Roster()
		got, _ := r.Member(7)
		if got.Replaces != cluster.ServerID(dead) || len(r.Members) != 4 {
			w.t.Errorf("got %+v", got)
		}
		s, err := w.node[l].Standings()
		if x, _ := s.Find(got.ID.String()); err != nil || !x.Learns || x.Votes || s.Voters != 3 {
			w.t.Errorf("it is %+v of %d voters, want one that learns beside 3", x, s.Voters)
		}
	})
}

// A roster must be read as it was written, and forget the oldest of those who were removed, not the newest.
func TestParseRoster(t *testing.T) {
	if r, err := cluster.ParseRoster(""); err != nil || len(r.Members) != 0 {
		t.Errorf("none: %+v, %v", r, err)
	}
	if _, err := cluster.ParseRoster(`{"members":[{"id":"1"}]}`); err == nil {
		t.Error("an id that is none is read")
	}
	text := `{"level":3,"cluster":"c","members":[{"id":"00000000000000ff","name":"n1","role":"voter","peer":"p","url":"u","since":5,"later":1}]}`
	r, err := cluster.ParseRoster(text)
	if m, ok := r.Named("n1"); err != nil || !ok || m.ID != 255 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, ok := r.Named("00000000000000ff"); !ok || slices.ContainsFunc(r.Members, func(m cluster.Member) bool { return m.Since != 5 }) {
		t.Errorf("got %+v", r)
	}
}
