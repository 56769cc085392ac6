package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/watch"
)

// A sample is what scraped metrics are read from, taken once per scrape.
type sample struct {
	s      *Server
	state  kv.Stats
	params kv.Params
	hub    watch.Stats
	rate   ratelimit.Stats
}

// A scrapedMetric is read when the metrics are asked for.
type scrapedMetric struct {
	name, help string
	kind       prometheus.ValueType
	read       func(*sample) float64
}

// A collector shows what the server, the state, the hub and the limiter count.
type collector struct {
	s     *Server
	m     *metrics
	descs []*prometheus.Desc
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// scraped is the one table of those.
var scraped = []scrapedMetric{
	{"keywatch_http_in_flight", "Requests being answered.", gauge, func(x *sample) float64 { return float64(x.s.conns.answering.Value()) }},
	{"keywatch_http_fastpath_total", "Requests read and answered on the fast path.", counter, func(x *sample) float64 { return float64(x.s.metrics.fast.Value()) }},
	{"keywatch_http_connections", "Connections with ordinary requests.", gauge, func(x *sample) float64 { return float64(x.s.conns.open.Load()) }},
	{"keywatch_http_connections_max", "Bound on connections.", gauge, func(x *sample) float64 { return float64(x.s.conns.max) }},
	{"keywatch_http_connections_refused_total", "Connections refused above the bound.", counter, func(x *sample) float64 { return float64(x.s.conns.refused.Load()) }},
	{"keywatch_streams", "Streams open.", gauge, func(x *sample) float64 { return float64(x.s.streams.Len()) }},
	{"keywatch_streams_max", "Bound on streams.", gauge, func(x *sample) float64 { return float64(x.s.opts.MaxStreams) }},
	{"keywatch_streams_stalled_total", "Streams closed because their client did not read.", counter, func(x *sample) float64 { return float64(x.s.reactor.Stalled()) }},
	{"keywatch_files_max", "Bound on connections and streams together.", gauge, func(x *sample) float64 { return float64(x.s.opts.MaxFiles) }},
	{"keywatch_backups", "Backups that are read.", gauge, func(x *sample) float64 { return float64(x.s.backups.running.Load()) }},
	{"keywatch_backups_max", "Bound on them.", gauge, func(x *sample) float64 { return float64(x.s.settings.Load().maxBackups) }},
	{"keywatch_watchers", "Watches open.", gauge, func(x *sample) float64 { return float64(x.hub.Watchers) }},
	{"keywatch_watchers_behind", "Watches that are behind and read history or a snapshot.", gauge, func(x *sample) float64 { return float64(x.hub.Behind) }},
	{"keywatch_watch_lag_events_max", "Events by which the slowest watch is behind.", gauge, func(x *sample) float64 { return float64(x.hub.MaxLag) }},
	{"keywatch_watch_published_total", "Events published.", counter, func(x *sample) float64 { return float64(x.hub.Published) }},
	{"keywatch_watch_delivered_total", "Events given to watches.", counter, func(x *sample) float64 { return float64(x.hub.Delivered) }},
	{"keywatch_watch_resyncs_total", "Watches that history had left behind.", counter, func(x *sample) float64 { return float64(x.hub.Resyncs) }},
	{"keywatch_watch_resets_total", "Watches that started over with the state.", counter, func(x *sample) float64 { return float64(x.hub.Resets) }},
	{"keywatch_history_bytes", "Size of the history kept.", gauge, func(x *sample) float64 { return float64(x.hub.History) }},
	{"keywatch_history_events", "Events in the history kept.", gauge, func(x *sample) float64 { return float64(x.hub.Events) }},
	{"keywatch_keys", "Keys that exist.", gauge, func(x *sample) float64 { return float64(x.state.Keys) }},
	{"keywatch_bytes", "Size of all keys and values.", gauge, func(x *sample) float64 { return float64(x.state.Bytes) }},
	{"keywatch_tombstones", "Deletions remembered.", gauge, func(x *sample) float64 { return float64(x.state.Tombstones) }},
	{"keywatch_deadlines", "Keys with a TTL.", gauge, func(x *sample) float64 { return float64(x.state.Deadlines) }},
	{"keywatch_idempotency_records", "Outcomes remembered for an Idempotency-Key.", gauge, func(x *sample) float64 { return float64(x.state.IdemRecords) }},
	{"keywatch_leases", "Leases that live.", gauge, func(x *sample) float64 { return float64(x.state.Leases) }},
	{"keywatch_leases_max", "Bound on leases.", gauge, func(x *sample) float64 { return float64(x.params.LeaseMax) }},
	{"keywatch_leases_granted_total", "Leases granted.", counter, func(x *sample) float64 { return float64(x.state.LeasesGranted) }},
	{"keywatch_leases_expired_total", "Leases that ran out.", counter, func(x *sample) float64 { return float64(x.state.LeasesExpired) }},
	{"keywatch_locks", "Locks that are held.", gauge, func(x *sample) float64 { return float64(x.state.Locks) }},
	{"keywatch_lock_waiters", "Places in the queues for locks.", gauge, func(x *sample) float64 { return float64(x.state.LockWaiters) }},
	{"keywatch_lock_grants_total", "Locks got, at once or after a wait.", counter, func(x *sample) float64 { return float64(x.state.LockGrants) }},
	{"keywatch_lock_wakes_total", "Requests woken from a wait for a lock because they had got it.", counter, func(x *sample) float64 { return float64(x.state.LockWakes) }},
	{"keywatch_lock_parked", "Requests that wait for a lock.", gauge, func(x *sample) float64 { return float64(x.s.lockWaits.parked()) }},
	{"keywatch_lock_abandoned_total", "Places and locks given up because the caller had left.", counter, func(x *sample) float64 { return float64(x.s.lockWaits.abandoned.Load()) }},
	{"keywatch_snapshots", "Snapshots open.", gauge, func(x *sample) float64 { return float64(x.state.Snapshots) }},
	{"keywatch_snapshot_bytes", "Memory kept for snapshots only: versions, keys, copies of the index.", gauge, func(x *sample) float64 { return float64(x.state.SnapshotBytes) }},
	{"keywatch_snapshots_ended_total", "Snapshots that were ended early.", counter, func(x *sample) float64 { return float64(x.state.SnapshotsEnded) }},
	{"keywatch_dirty_keys", "Keys that the next checkpoint writes.", gauge, func(x *sample) float64 { return float64(x.state.DirtyKeys) }},
	{"keywatch_dirty_bytes", "Size of what the next checkpoint writes.", gauge, func(x *sample) float64 { return float64(x.state.DirtyBytes) }},
	{"keywatch_applied_index", "Index of the last log entry applied.", gauge, func(x *sample) float64 { return float64(x.state.Index) }},
	{"keywatch_log_time_seconds", "Log time.", gauge, func(x *sample) float64 { return float64(x.state.Time) / 1000 }},
	{"keywatch_ratelimit_callers", "Callers whose rate is counted.", gauge, func(x *sample) float64 { return float64(x.rate.Callers) }},
	{"keywatch_ratelimit_overflow_total", "Requests counted against the shared overflow caller.", counter, func(x *sample) float64 { return float64(x.rate.Overflow) }},
}

func newCollector(s *Server, m *metrics) *collector {
	c := &collector{s: s, m: m}
	for _, g := range scraped {
		c.descs = append(c.descs, prometheus.NewDesc(g.name, g.help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- descRequests
	ch <- descTimes
	ch <- descDelivery
	ch <- descRefused
	for _, d := range []*prometheus.Desc{descClientUsed, descClientRefused, descClientMax, descCallerMax, descClientWaiting} {
		ch <- d
	}
	for _, d := range c.descs {
		ch <- d
	}
	for _, d := range []*prometheus.Desc{
		descAuthRequests, descAuthDenied, descAuthEnded, descLogins, descLoginQueue, descAccounts, descAuthRevision, descAuditWritten, descAuditLeftOut, descAuditFailing, descHashProcess, descHandshakes,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	state := c.s.door.Server().State()
	x := &sample{s: c.s, state: state.Stats(), params: state.Params(), hub: c.s.door.Hub().Stats()}
	if c.s.opts.Limiter != nil {
		x.rate = c.s.opts.Limiter.Stats()
	}
	c.m.collect(ch)
	c.m.collectTimes(ch)
	ch <- NewHistogram(descDelivery, timesRange, c.s.door.Hub().DeliveryTimes())
	collectBudget(c.s.opts.Budget, ch)
	c.s.collectAuth(ch)
	if c.s.tls != nil {
		c.s.conns.handshakes.collect(ch)
	}
	for i, g := range scraped {
		ch <- prometheus.MustNewConstMetric(c.descs[i], g.kind, g.read(x))
	}
}

var (
	descClientUsed    = prometheus.NewDesc("keywatch_client_memory_bytes", "Memory that callers make the server hold, by what it is for.", []string{"kind"}, nil)
	descClientRefused = prometheus.NewDesc("keywatch_client_memory_refused_total", "How often there was no room for it.", []string{"kind"}, nil)
	descClientMax     = prometheus.NewDesc("keywatch_client_memory_max_bytes", "Bound on it.", nil, nil)
	descCallerMax     = prometheus.NewDesc("keywatch_client_memory_per_caller_max_bytes", "Bound on that of one caller.", nil, nil)
	descClientWaiting = prometheus.NewDesc("keywatch_client_memory_waiting", "Requests that wait for room.", nil, nil)
)

// collectBudget tells of what callers make the server hold.
func collectBudget(b *ratelimit.Budget, ch chan<- prometheus.Metric) {
	s := b.Stats()
	for _, k := range ratelimit.Kinds() {
		ch <- prometheus.MustNewConstMetric(descClientUsed, gauge, float64(s.Used[k]), k.String())
		ch <- prometheus.MustNewConstMetric(descClientRefused, counter, float64(s.Refused[k]), k.String())
	}
	ch <- prometheus.MustNewConstMetric(descClientMax, gauge, float64(s.Limit))
	ch <- prometheus.MustNewConstMetric(descCallerMax, gauge, float64(s.PerCaller))
	ch <- prometheus.MustNewConstMetric(descClientWaiting, gauge, float64(s.Waiting))
}
