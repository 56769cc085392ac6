package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"keywatch/cluster"
	"keywatch/cluster/peer"
	"keywatch/kv"
	"keywatch/persist/disk"
)

// joinEvery is how often a server that belongs to no cluster asks.
const joinEvery = 300 * time.Millisecond

// joinQuiet is how long it may take until the log says why a server waits: others start too.
const joinQuiet = 5 * time.Second

// enter has a server that is told to join do so, and one that had been accepted before it had anything ask
// again. It returns when the server knows the others, or is to begin a cluster.
func (m *membership) enter(ctx context.Context) error {
	p := &m.config.Peers
	me := m.me()
	if len(p.Join) == 0 || me.Founder || me.State == memberNode && m.started() {
		return nil
	}
	m.config.Logger.Info("this server joins a cluster", "name", me.Name, "id", me.ID, "asks", p.Join)
	said, began := "", time.Now()
	for {
		done, err := m.knock(ctx)
		if done || err != nil {
			return err
		}
		if text := m.waits(); text != said && time.Since(began) > joinQuiet {
			said = text
			m.config.Logger.Warn("this server waits to join", "why", text)
		}
		select {
		case <-time.After(joinEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// formed notes once the cluster has as many voters as it begins with, until ctx ends: it may have fewer later.
func (m *membership) formed(ctx context.Context, n *cluster.Node) {
	tick := time.NewTicker(joinEvery)
	defer tick.Stop()
	for m.me().Expect > 0 {
		if n.Ready() == nil {
			if err := m.become(func(n *nodeFile) { n.Expect = 0 }); err != nil {
				m.config.Logger.Error("it cannot be noted that the cluster has begun", "err", err)
			}
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// setWait and waits are about why this server has not joined yet.
func (m *membership) setWait(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.wait = why
}

func (m *membership) waits() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.wait
}

// started reports whether the folder has had something of the cluster's: then its checkpoint names the
// others.
func (m *membership) started() bool {
	_, named, err := disk.ReadIdentity(disk.OS, m.config.Data)
	return named || err != nil
}

// knock asks each of the servers once.
func (m *membership) knock(ctx context.Context) (done bool, err error) {
	p := &m.config.Peers
	blanks := []string{p.Name} // names of servers that belong to no cluster either
	reason := ""
	for _, addr := range p.Join {
		a, err := m.ask(ctx, addr, question{Op: opLook})
		if errors.Is(err, peer.ErrSelf) {
			continue
		}
		if err != nil {
			reason = err.Error()
			continue
		}
		if a.State == blankNode {
			if a.Name == p.Name {
				return false, fmt.Errorf("the server at %s is called %s too: give each a --name of its own", addr, a.Name)
			}
			blanks = append(blanks, a.Name)
			continue
		}
		done, err := m.petition(ctx, addr, a.Name)
		if done || err != nil {
			return done, err
		}
	}
	if reason == "" {
		reason = fmt.Sprintf("no server at %q belongs to a cluster", p.Join)
	}
	m.setWait(reason)
	if p.Expect > 0 && len(blanks) >= p.Expect && slices.Min(blanks) == p.Name {
		m.config.Logger.Info("this server begins a cluster with others", "servers", blanks)
		return true, m.become(func(n *nodeFile) { n.Expect = p.Expect })
	}
	return false, nil
}

// petition asks a member, which has a name, to let this server join.
func (m *membership) petition(ctx context.Context, addr, name string) (done bool, err error) {
	if ok, err := m.learnAccess(ctx, addr, name); !ok {
		return false, err
	}
	self := m.member()
	a, err := m.ask(ctx, addr, question{Op: opJoin, Member: &self, Replace: m.config.Peers.Replace, Objects: m.config.ObjectStore})
	if err != nil {
		m.setWait(err.Error())
		var refused *refusal
		if errors.As(err, &refused) && refused.final {
			return false, fmt.Errorf("join %s: %w", addr, err)
		}
		return false, nil
	}
	id, ok := disk.ParseStoreID(a.Cluster)
	if !ok {
		return false, fmt.Errorf("join %s: it says that the cluster is %q", addr, a.Cluster)
	}
	err = m.become(func(n *nodeFile) {
		if n.State != memberNode {
			n.Expect = m.config.Peers.Expect
		}
		n.State, n.Cluster = memberNode, id
		if a.Roster != nil {
			n.Peers = peersOf(a.Roster, n.ID)
		}
	})
	if err != nil {
		return false, err
	}
	m.mesh.SetCluster(a.Cluster)
	if a.Roster != nil {
		m.changed(*a.Roster)
	}
	m.config.Logger.Info("this server has joined", "cluster", a.Cluster, "members", len(m.roster().Members))
	return true, nil
}

// ask asks a server, and returns its refusal as a *refusal.
func (m *membership) ask(ctx context.Context, addr string, q question) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	_, b, err := m.mesh.Ask(ctx, addr, body)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%s answers %.80q", addr, b)
	}
	if a.Code != "" {
		return a, refusalOf(a)
	}
	return a, nil
}

// askTimeout bounds a question to another server: it may have to make a checkpoint first.
const askTimeout = 20 * time.Second

// A refusal is why another server did not do what it was asked for.
type refusal struct {
	cause  error
	detail string
	final  bool // it makes no sense to ask again
}

func (r *refusal) Error() string { return r.detail }
func (r *refusal) Unwrap() error { return r.cause }

// refusals are the errors behind the codes of answers, and whether it makes no sense for a server that
// joins to ask again.
var refusals = []struct {
	code  string
	cause error
	final bool
}{
	{"member_not_found", cluster.ErrMemberNotFound, true},
	{"member_exists", cluster.ErrMemberExists, true},
	{"change_pending", cluster.ErrChangePending, false},
	{"not_caught_up", cluster.ErrNotCaughtUp, false},
	{"quorum_at_risk", cluster.ErrQuorumAtRisk, false},
	{"member_removed", cluster.ErrRemoved, true},
	{"not_accepted", cluster.ErrRefused, true},
	{"handed_over", cluster.ErrHandedOver, false},
	{"starting", kv.ErrStarting, false},
	{"stopping", kv.ErrStopping, false},
	{"outcome_unknown", kv.ErrOutcomeUnknown, false},
	{"no_leader", kv.ErrNoLeader, false},
	{"tier_unavailable", kv.ErrTierUnavailable, false},
	{"under_way", errUnderWay, false},
}

// refusalOf returns the error of an answer that has a code.
func refusalOf(a answer) error {
	for _, r := range refusals {
		if r.code == a.Code {
			return &refusal{r.cause, a.Detail, r.final}
		}
	}
	return &refusal{errors.New(a.Code), a.Detail, false}
}

// refuse returns the answer that says why something was not done.
func refuse(err error) answer {
	for _, r := range refusals {
		if errors.Is(err, r.cause) {
			return answer{Code: r.code, Detail: err.Error()}
		}
	}
	return answer{Code: "internal", Detail: err.Error()}
}
