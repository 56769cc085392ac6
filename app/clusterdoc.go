package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/web"
	"keywatch/web/api"
)

// A ClusterDocument is what /v1/cluster shows.
type ClusterDocument struct {
	// Cluster is the id of the cluster, which is that of the store; empty where nothing is stored.
	Cluster string `json:"cluster"`
	Epoch   string `json:"epoch"`
	Level   int    `json:"level"`
	Term    uint64 `json:"term"`
	// Leader is its name; empty if none is known.
	Leader string `json:"leader"`
	// Quorum is how many voters must have a write, Tolerates how many may end.
	Quorum    int    `json:"quorum"`
	Copies    string `json:"copies"`
	Tolerates int    `json:"tolerates"`
	// From is the server that says this, if it is not the leader: then it knows only how it does itself.
	From    string           `json:"from,omitempty"`
	Members []MemberDocument `json:"members"`
}

// A MemberDocument is one server in it.
type MemberDocument struct {
	ID   string       `json:"id"`
	Name string       `json:"name"`
	Role cluster.Role `json:"role"`
	// State is ready, joining, installing, lagging, unreachable, leaving, or differs: it has another state
	// than the leader after the same log entry.
	State string `json:"state"`
	URL   string `json:"url"`
	Peer  string `json:"peer"`
	// LagMS is how far it is behind in time, -1 if that is not known, Behind in entries of the log.
	LagMS   int64  `json:"lag_ms"`
	Behind  uint64 `json:"behind"`
	Version string `json:"version"`
	// Room says that its disk has room, DiskFree how many bytes of it are free, -1 if that is not known.
	Room     bool  `json:"room"`
	DiskFree int64 `json:"disk_free"`
	// Since is when it joined.
	Since string `json:"since,omitempty"`
}

// document returns what a server knows of the cluster.
func (m *membership) document(s *cluster.Standings) *ClusterDocument {
	d := &ClusterDocument{
		Cluster: s.Roster.Cluster, Level: s.Roster.Level, Term: s.Term, Members: []MemberDocument{},
		Quorum: s.Quorum(), Tolerates: s.Voters - s.Quorum(), Copies: copiesOf(s),
	}
	if !s.Leads {
		d.From = m.config.Peers.Name
	}
	if id := m.me().Cluster; d.Cluster == "" && id != 0 {
		d.Cluster = id.String()
	}
	d.Tolerates = max(0, d.Tolerates)
	for _, x := range s.Members {
		if x.ID == s.Leader {
			d.Leader = x.Name
		}
		d.Members = append(d.Members, memberDocument(&x, s))
	}
	slices.SortStableFunc(d.Members, func(a, b MemberDocument) int { return strings.Compare(a.Name, b.Name) })
	return d
}

// copiesOf says how many of how many voters have a write when it is acknowledged.
func copiesOf(s *cluster.Standings) string {
	if s.Voters == 0 {
		return "0/0"
	}
	return fmt.Sprintf("%d/%d", s.Quorum(), s.Voters)
}

func memberDocument(x *cluster.Standing, s *cluster.Standings) MemberDocument {
	if x.Lag > unknownLag {
		x.Lag = -time.Millisecond
	}
	d := MemberDocument{
		ID: x.ID.String(), Name: x.Name, Role: x.Role, State: stateOf(x, s), URL: x.URL, Peer: x.Peer,
		LagMS: x.Lag.Milliseconds(), Behind: x.Behind, Version: x.About.Version, Room: x.Room, DiskFree: -1,
		Since: time.UnixMilli(x.Since).UTC().Format(time.RFC3339),
	}
	if x.About.Free > 0 {
		d.DiskFree = x.About.Free
	}
	if !x.Reachable || x.Heard.IsZero() {
		d.LagMS = -1 // it has not said
	}
	return d
}

// unknownLag is more than any server can be behind: it has heard of no leader yet.
const unknownLag = 365 * 24 * time.Hour

// stateOf names how a member does, as far as this server knows.
func stateOf(x *cluster.Standing, s *cluster.Standings) string {
	switch {
	case x.Leaving:
		return "leaving"
	case !x.Reachable:
		return "unreachable"
	case x.Installing:
		return "installing"
	case x.Differs:
		return "differs"
	case !x.Votes && x.Role == cluster.Voter:
		return "joining"
	case x.Lag < 0:
		return "joining"
	case (s.Leads || x.ID == s.Self) && x.Lag > maxLag:
		return "lagging"
	}
	return "ready"
}

// statusWait is how long the leader is waited for.
const statusWait = 500 * time.Millisecond

// Cluster returns what the cluster is: as the leader sees it if that answers at once, else what this server knows.
func (e *Engine) Cluster(ctx context.Context) *ClusterDocument {
	d := e.clusterDocument(ctx)
	d.Epoch = fmt.Sprintf("%08x", uint32(e.state().Position().Epoch))
	return d
}

func (e *Engine) clusterDocument(ctx context.Context) *ClusterDocument {
	m := e.members
	if m == nil {
		return e.soleDocument()
	}
	s, err := e.node.StandingsWithin(statusWait)
	if err == nil && !s.Leads && s.Leader != 0 {
		ctx, cancel := context.WithTimeout(ctx, statusWait)
		defer cancel()
		if a, err := m.do(ctx, question{Op: opStatus}); err == nil && a.Status != nil {
			d := new(ClusterDocument)
			if json.Unmarshal(*a.Status, d) == nil {
				return d
			}
		}
	}
	return m.document(&s)
}

// soleDocument is that of a server that is alone.
func (e *Engine) soleDocument() *ClusterDocument {
	d := &ClusterDocument{Level: soleLevel, Quorum: 1, Copies: "1/1", Members: []MemberDocument{
		{Role: cluster.Voter, State: "ready", Version: e.config.Version, Room: true, DiskFree: -1},
	}}
	if e.disk != nil {
		d.Members[0].DiskFree = freeOf(e.config.Data)
		d.Cluster = e.disk.Store().String()
		d.Members[0].Room = e.disk.Log().Room() == nil
	}
	return d
}

// soleLevel is the level of a store that has never had several servers.
const soleLevel = 2

// errAlone is returned by what needs a cluster.
var errAlone = fmt.Errorf("%w: this server is alone; start it with --peer-listen to have others join", cluster.ErrMemberNotFound)

// webCluster returns what the routes of a cluster do.
func (e *Engine) webCluster() web.Cluster {
	c := web.Cluster{
		Document: func(ctx context.Context) any { return e.Cluster(ctx) },
		Change: func(ctx context.Context, op, node string, now bool) error {
			return failureOf(e.ChangeMembers(ctx, op, node, now))
		},
	}
	if m := e.members; m != nil {
		c.Members = func() *web.Members { return m.shown(e.node) }
	}
	return c
}

// changeCodes are the codes of why members do not change.
var changeCodes = []struct {
	err  error
	code api.Code
}{
	{cluster.ErrMemberNotFound, api.CodeMemberNotFound}, {cluster.ErrMemberExists, api.CodeMemberExists},
	{cluster.ErrChangePending, api.CodeChangePending}, {cluster.ErrNotCaughtUp, api.CodeNotCaughtUp},
	{cluster.ErrQuorumAtRisk, api.CodeQuorumAtRisk},
}

// failureOf gives an error of a change of members its code.
func failureOf(err error) error {
	for _, c := range changeCodes {
		if errors.Is(err, c.err) {
			return &api.Failure{Code: c.code, Detail: err.Error()}
		}
	}
	return err
}

// ChangeMembers promotes, removes, or transfers leadership, wherever the leader is. It fails with the
// errors of package cluster of the same operation, or with kv.ErrNoLeader.
func (e *Engine) ChangeMembers(ctx context.Context, op, node string, now bool) error {
	if e.members == nil {
		return errAlone
	}
	if e.node == nil {
		return kv.ErrStarting
	}
	_, err := e.members.do(ctx, question{Op: op, Node: node, Now: now})
	return err
}
