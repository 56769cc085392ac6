package ws

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/kv"
	"keywatch/kv/bind"
	"keywatch/web/api"
)

// bind renews a lease and has it live as long as the socket does, and for its TTL
// after. On another socket the same command takes it up again.
func (r *runner) bind(c *command) error { return r.rebind(c, (*runner).didBind) }

// unbind renews a lease a last time and leaves it to its TTL.
func (r *runner) unbind(c *command) error { return r.rebind(c, (*runner).didUnbind) }

func (r *runner) rebind(c *command, did func(*runner, uint64, *kv.Command, *kv.Result) error) error {
	id, err := c.leaseID()
	if err != nil {
		return err
	}
	c.cmd.Lease = &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}
	return r.write(c, 1, did)
}

func (r *runner) didBind(id uint64, c *kv.Command, result *kv.Result) error {
	ttl := time.Duration(result.Lease.TTL) * time.Millisecond
	if ttl < bind.MinTTL {
		return api.Refuse(api.CodeBadDuration, "a bound lease must have a TTL of at least %v", bind.MinTTL)
	}
	keeper := r.s.server.bound
	keeper.Bind(r.s, result.Lease.ID, ttl)
	if r.s.gone.Load() {
		keeper.Release(r.s) // it may have gone before
	}
	return r.didGrant(id, c, result)
}

func (r *runner) didUnbind(id uint64, c *kv.Command, result *kv.Result) error {
	r.s.server.bound.Unbind(r.s, result.Lease.ID)
	return r.didGrant(id, c, result)
}

var (
	descBound    = prometheus.NewDesc("keywatch_socket_leases", "Leases that live with WebSockets.", nil, nil)
	descRenewals = prometheus.NewDesc("keywatch_socket_lease_renewals_total", "Renewals of those by the server.", nil, nil)
)

// collectBound tells of the leases that live with sockets.
func (v *Server) collectBound(ch chan<- prometheus.Metric) {
	leases, renewed := v.bound.Stats()
	ch <- prometheus.MustNewConstMetric(descBound, gauge, float64(leases))
	ch <- prometheus.MustNewConstMetric(descRenewals, counter, float64(renewed))
}
