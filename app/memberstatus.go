package app

import (
	"errors"
	"fmt"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/web"
	"keywatch/web/api"
)

// ready returns why the server does not take all requests, nil if it does.
func (m *membership) ready(n *cluster.Node) error {
	if m.removed.Load() {
		return errRemoved
	}
	if err := n.Ready(); err != nil {
		return err
	}
	if lag := n.Lag(); lag > maxLag {
		return &api.Failure{Code: api.CodeLagging, Detail: fmt.Sprintf("this server is %v behind the leader", lag.Round(time.Millisecond))}
	}
	return nil
}

// maxLag is how far behind the leader a server that is ready may be.
const maxLag = 5 * time.Second

var errRemoved = fmt.Errorf("%w: this server was removed from the cluster", kv.ErrStopping)

// serving returns why requests for keys are not answered, nil if they are: without a leader, or behind it,
// this server still answers what it can.
func (m *membership) serving(n *cluster.Node, at kv.Position) error {
	switch err := n.Ready(); {
	case m.removed.Load():
		return errRemoved
	case at.Epoch == 0 || errors.Is(err, kv.ErrStarting):
		return kv.ErrStarting
	case errors.Is(err, kv.ErrStopping):
		return err
	}
	return nil
}

// others returns the URLs of the other members that are reachable and stay.
func (m *membership) others() (list []string) {
	if m == nil {
		return nil
	}
	r := m.roster()
	for _, x := range r.Members {
		if x.URL == "" || x.Leaving || x.ID == m.me().ID {
			continue
		}
		if reachable, _ := m.reach(uint64(x.ID)); reachable {
			list = append(list, x.URL)
		}
	}
	return list
}

// shown returns what requests need to know of the members.
func (m *membership) shown(n *cluster.Node) *web.Members {
	voters := n.Voters()
	if last := m.last.Load(); last != nil && last.voters == voters {
		return &last.Members
	}
	next := &shown{voters: voters}
	next.Copies = fmt.Sprintf("%d/%d", voters/2+1, voters)
	m.mu.Lock() // so that no roster comes in between
	defer m.mu.Unlock()
	for _, x := range m.mu.roster.Members {
		if x.URL != "" {
			next.URLs = append(next.URLs, x.URL)
		}
	}
	m.last.Store(next)
	return &next.Members
}

// A shown is web.Members and the number of voters that it was made for.
type shown struct {
	web.Members
	voters int
}
