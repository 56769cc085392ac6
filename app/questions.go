package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"keywatch/cluster"
	"keywatch/cluster/peer"
	"keywatch/kv"
)

// What servers ask each other, beside the frames of the log.
const (
	opLook     = "look"     // who the other is
	opJoin     = "join"     // to become a member
	opStatus   = "status"   // how the cluster does, as the leader sees it
	opPromote  = "promote"  // to make a member a voter
	opRemove   = "remove"   // to take a member out
	opTransfer = "transfer" // to have another lead
	opMigrate  = "migrate"  // to move values to object storage
	opAccess   = "access"   // whether callers have to prove who they are, and what seals their records
)

// A question is what one server asks another. Unknown fields are left alone.
type question struct {
	Op string `json:"op"`
	// Member is who joins, Replace whom it replaces, Objects the object store that it can read.
	Member  *cluster.Member `json:"member,omitempty"`
	Replace string          `json:"replace,omitempty"`
	Objects string          `json:"objects,omitempty"`
	// Node is the member that an operation is about.
	Node string `json:"node,omitempty"`
	Now  bool   `json:"now,omitempty"`
	// Run is the number of a run of work that takes longer than a question may.
	Run uint64 `json:"run,omitempty"`
	// Relayed says that another server was asked first: this one does not pass it on.
	Relayed bool `json:"relayed,omitempty"`
}

// An answer is what the other says.
type answer struct {
	Code   string `json:"code,omitempty"` // why it was not done; empty if it was
	Detail string `json:"detail,omitempty"`

	Name    string           `json:"name,omitempty"`
	State   nodeState        `json:"state,omitempty"`
	Cluster string           `json:"cluster,omitempty"`
	Roster  *cluster.Roster  `json:"roster,omitempty"`
	Status  *json.RawMessage `json:"status,omitempty"`
	// Removed says that the asker was removed from the cluster. Twin is the address of another process
	// that has the asker's id.
	Removed bool            `json:"removed,omitempty"`
	Access  *accessDocument `json:"access,omitempty"`
	Twin    string          `json:"twin,omitempty"`
}

// answer answers another server.
func (m *membership) answer(ctx context.Context, from peer.Hello, body []byte) ([]byte, error) {
	select {
	case <-m.opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("malformed question: %w", err)
	}
	var a answer
	var err error
	switch own := m.me().Cluster.String(); {
	case q.Op == opLook:
		a = m.look(from)
	case from.Cluster != "" && m.me().Cluster == 0:
		err = kv.ErrStarting // one of a cluster had this address before
	case from.Cluster != "" && from.Cluster != own:
		err = fmt.Errorf("%w: it belongs to cluster %s, and this is one of cluster %s", cluster.ErrRefused, from.Cluster, own)
	case q.Op == opJoin && (q.Member == nil || !q.Relayed && q.Member.ID != cluster.ServerID(from.ID)):
		err = fmt.Errorf("%w: its certificate is of another server", cluster.ErrRefused)
	case q.Op == opAccess:
		a, err = m.tellAccess(from)
	default:
		a, err = m.do(ctx, q)
	}
	if err != nil {
		a = refuse(err)
	}
	return json.Marshal(a)
}

// look says who this server is.
func (m *membership) look(from peer.Hello) answer {
	me, r := m.me(), m.roster()
	a := answer{Name: me.Name, State: me.State, Removed: r.WasRemoved(cluster.ServerID(from.ID))}
	if me.Cluster != 0 {
		a.Cluster = me.Cluster.String()
	}
	a.Twin = m.mesh.Twin(from.ID, from.Incarnation)
	return a
}

// do has the leader do what is asked: this server, or the one that it knows to lead.
func (m *membership) do(ctx context.Context, q question) (answer, error) {
	n := m.node.Load()
	if n == nil {
		return answer{}, kv.ErrStarting
	}
	for {
		s, err := n.Standings()
		if err != nil {
			return answer{}, err
		}
		if s.Leads {
			a, err := m.lead(ctx, n, q)
			if !errors.Is(err, cluster.ErrHandedOver) {
				return a, err
			}
			continue
		}
		leader, known := s.Roster.Member(s.Leader)
		if q.Relayed || s.Leader == s.Self || !known {
			return answer{}, kv.ErrNoLeader
		}
		q.Relayed = true
		return m.ask(ctx, leader.Peer, q)
	}
}

// lead does what is asked as the leader.
func (m *membership) lead(ctx context.Context, n *cluster.Node, q question) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	switch q.Op {
	case opJoin:
		if err := m.sharesObjects(q.Objects); err != nil {
			return answer{}, err
		}
		if err := m.retry(ctx, func() error { return n.Join(ctx, *q.Member, q.Replace) }); err != nil {
			return answer{}, err
		}
		r := n.Roster()
		return answer{Cluster: m.me().Cluster.String(), Roster: &r}, nil
	case opPromote:
		return answer{}, m.retry(ctx, func() error { return n.Promote(ctx, q.Node, q.Now) })
	case opRemove:
		return answer{}, m.retry(ctx, func() error { return n.Remove(ctx, q.Node) })
	case opTransfer:
		return answer{}, n.Transfer(ctx, q.Node)
	case opMigrate:
		return answer{}, m.migration.ask(ctx, q.Run)
	case opStatus:
		s, err := n.Standings()
		if err != nil {
			return answer{}, err
		}
		b, err := json.Marshal(m.document(&s))
		raw := json.RawMessage(b)
		return answer{Status: &raw}, err
	}
	return answer{}, fmt.Errorf("%w: unknown operation %q", cluster.ErrRefused, q.Op)
}

// retry runs f again while another change is under way, for a moment.
func (m *membership) retry(ctx context.Context, f func() error) error {
	for range 20 {
		err := f()
		if !errors.Is(err, cluster.ErrChangePending) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
	return f()
}

// relayMigration has the leader move values to object storage, and returns once that is done.
func (m *membership) relayMigration(ctx context.Context) error {
	for run := rand.Uint64(); ; {
		_, err := m.do(ctx, question{Op: opMigrate, Run: run})
		var refused *refusal
		switch {
		case errors.Is(err, errUnderWay):
		case err == nil || ctx.Err() != nil || errors.As(err, &refused) || refuse(err).Code != "internal":
			return err
		default:
			return fmt.Errorf("%w: the leader, which moves values, was not reached: %w", kv.ErrNoLeader, err)
		}
	}
}

// sharesObjects refuses a server that cannot read the values that are in object storage.
func (m *membership) sharesObjects(theirs string) error {
	if own := m.config.ObjectStore; own != theirs {
		return fmt.Errorf("%w: values are, or can be, in object store %q, and it names %q: all servers of a cluster need the same --object-store",
			cluster.ErrRefused, own, theirs)
	}
	if m.ownObjects() {
		return fmt.Errorf("%w: values are in object storage within the data folder of %s: move them to a store that all servers reach, with --object-store, first",
			cluster.ErrRefused, m.config.Peers.Name)
	}
	return nil
}

// ownObjects reports whether values are in the data folder's own object store.
func (m *membership) ownObjects() bool {
	if m.config.ObjectStore != "" {
		return false
	}
	list, err := os.ReadDir(filepath.Join(m.config.Data, objectFolder))
	return err == nil && len(list) > 0
}
