package app

import "github.com/prometheus/client_golang/prometheus"

// addMembers adds the figures of a server of a cluster.
func (c *collector) addMembers() {
	add := func(name, help string, kind prometheus.ValueType, value func(*MembersStatus) float64) {
		c.add(name, help, kind, func(s *Status) float64 {
			if s.Cluster.Members == nil {
				return 0
			}
			return value(s.Cluster.Members)
		})
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	c.add("keywatch_cluster_leader", "1 while this server leads.", gauge, func(s *Status) float64 { return number(s.Cluster.Leader) })
	add("keywatch_cluster_leader_known", "1 while this server knows a leader.", gauge, func(m *MembersStatus) float64 { return number(m.LeaderKnown) })
	add("keywatch_cluster_term", "Term that this server is in.", gauge, func(m *MembersStatus) float64 { return float64(m.Term) })
	add("keywatch_cluster_level", "Newest format that the cluster writes.", gauge, func(m *MembersStatus) float64 { return float64(m.Level) })
	add("keywatch_cluster_commit_index", "Log entry up to which everything is committed, as far as this server knows.", gauge, func(m *MembersStatus) float64 { return float64(m.Commit) })
	c.add("keywatch_cluster_applied_index", "Log entry that the state has.", gauge, func(s *Status) float64 { return float64(s.Cluster.Index) })
	add("keywatch_cluster_lag_seconds", "How far this server is behind the leader; -0.001 if that is not known.", gauge, func(m *MembersStatus) float64 { return float64(m.LagMS) / 1e3 })
	add("keywatch_cluster_voters", "Voters.", gauge, func(m *MembersStatus) float64 { return float64(m.Voters) })
	add("keywatch_cluster_members", "Members, those that do not vote included.", gauge, func(m *MembersStatus) float64 { return float64(m.Servers) })
	add("keywatch_cluster_members_unreachable", "Members that are not connected to this server.", gauge, func(m *MembersStatus) float64 { return float64(m.Unreachable) })
	add("keywatch_cluster_members_differ", "Members that have another state than this server after the same log entry, if it leads.", gauge, func(m *MembersStatus) float64 { return float64(m.Differ) })
	add("keywatch_cluster_installing", "1 while the state of another server takes the place of this one's.", gauge, func(m *MembersStatus) float64 { return number(m.Installing) })
	add("keywatch_cluster_led_total", "Terms in which this server led.", counter, func(m *MembersStatus) float64 { return float64(m.Led) })
	add("keywatch_cluster_batches_forwarded_total", "Batches of commands handed to another leader.", counter, func(m *MembersStatus) float64 { return float64(m.Forwarded) })
	add("keywatch_cluster_batches_resent_total", "Batches handed to a leader again that did not answer.", counter, func(m *MembersStatus) float64 { return float64(m.Resent) })
	add("keywatch_cluster_batches_lost_total", "Batches that were lost with a term: none was applied.", counter, func(m *MembersStatus) float64 { return float64(m.Lost) })
	add("keywatch_cluster_reads_total", "Reads that asked the leader; many share one question.", counter, func(m *MembersStatus) float64 { return float64(m.Reads) })
	add("keywatch_cluster_read_rounds_total", "Questions to the leader that reads shared.", counter, func(m *MembersStatus) float64 { return float64(m.ReadRounds) })
}

// number returns 1 for true.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
