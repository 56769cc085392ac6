package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/kv"
	"keywatch/kv/bind"
	"keywatch/web/api"
)

// bind renews a lease and has it live as long as the socket does, and for its TTL
// after. On another socket the same command takes it up again.
func (l *lane) bind(c *socketCommand) error { return l.rebind(c, (*lane).didBind) }

// unbind renews a lease a last time and leaves it to its TTL.
func (l *lane) unbind(c *socketCommand) error { return l.rebind(c, (*lane).didUnbind) }

func (l *lane) rebind(c *socketCommand, did func(*lane, uint64, *kv.Command, *kv.Result) error) error {
	id, err := c.leaseID()
	if err != nil {
		return err
	}
	c.cmd.Lease = &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}
	return l.write(c, 1, did)
}

func (l *lane) didBind(id uint64, c *kv.Command, r *kv.Result) error {
	ttl := time.Duration(r.Lease.TTL) * time.Millisecond
	if ttl < bind.MinTTL {
		return api.Refuse(api.CodeBadDuration, "a lease that is bound has a TTL of %v or more", bind.MinTTL)
	}
	keeper := l.s.server.bound
	keeper.Bind(l.s, r.Lease.ID, ttl)
	if l.s.gone.Load() {
		keeper.Release(l.s) // it may have gone before
	}
	return l.didGrant(id, c, r)
}

func (l *lane) didUnbind(id uint64, c *kv.Command, r *kv.Result) error {
	l.s.server.bound.Unbind(l.s, r.Lease.ID)
	return l.didGrant(id, c, r)
}

var (
	descBound    = prometheus.NewDesc("keywatch_socket_leases", "Leases that live with WebSockets.", nil, nil)
	descRenewals = prometheus.NewDesc("keywatch_socket_lease_renewals_total", "Renewals of those by the server.", nil, nil)
)

// collectBound tells of the leases that live with sockets.
func (r *socketRegistry) collectBound(ch chan<- prometheus.Metric) {
	leases, renewed := r.bound.Stats()
	ch <- prometheus.MustNewConstMetric(descBound, gauge, float64(leases))
	ch <- prometheus.MustNewConstMetric(descRenewals, counter, float64(renewed))
}
