package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"keywatch/kv/latency"
	"keywatch/web"
)

// A collector gives the engine's figures to Prometheus; those of keys, watches
// and requests come from package web.
type collector struct {
	engine *Engine
	all    []metric
	times  []timing
}

// A timing is one histogram.
type timing struct {
	desc *prometheus.Desc
	span web.HistogramRange
	read func(*Engine) *latency.Snapshot
}

// A metric is one figure of a Status.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*Status) float64
}

func newCollector(e *Engine) *collector {
	c := &collector{engine: e}
	c.add("keywatch_log_entries_total", "Log entries proposed and applied.", prometheus.CounterValue,
		func(s *Status) float64 { return float64(s.Cluster.Entries) })
	c.add("keywatch_log_commands_total", "Commands in them.", prometheus.CounterValue,
		func(s *Status) float64 { return float64(s.Cluster.Commands) })
	c.add("keywatch_queue_commands", "Commands that wait for the log.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Cluster.Queued) })
	c.add("keywatch_queue_refused_total", "Commands that found the queue or the disk full.", prometheus.CounterValue,
		func(s *Status) float64 { return float64(s.Cluster.Refused) })
	c.addTimes("keywatch_commit_duration_seconds", "Time from the proposal of a command until it is applied; each counts with the time of the oldest in its log entry.",
		web.HistogramRange{Least: -15, Most: 3}, func(e *Engine) *latency.Snapshot { return e.node.CommitTimes() })
	c.addTiers()
	for _, kind := range backgroundKinds {
		c.all = append(c.all, metric{
			prometheus.NewDesc("keywatch_background_seconds",
				"For how long background work of this kind has been under way; 0 if there is none.",
				nil, prometheus.Labels{"work": kind}),
			prometheus.GaugeValue, func(s *Status) float64 { return s.backgroundSeconds(kind) },
		})
	}
	if e.objects != nil {
		c.addObjects()
	}
	if e.disk != nil {
		c.addDisk()
	}
	if e.members != nil {
		c.addMembers()
	}
	return c
}

func (c *collector) addDisk() {
	c.add("keywatch_log_bytes", "Bytes of log that a start would replay.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Log.Bytes) })
	c.add("keywatch_log_disk_bytes", "Bytes of log files.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Log.DiskBytes) })
	c.add("keywatch_log_no_room", "1 while writes are refused because the disk is full.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(min(1, len(s.Log.NoRoom))) })
	c.add("keywatch_log_fsyncs_total", "Fsyncs of the log.", prometheus.CounterValue,
		func(s *Status) float64 { return float64(s.Log.Fsyncs) })
	c.addTimes("keywatch_log_fsync_duration_seconds", "How long fsyncs of the log take.",
		web.HistogramRange{Least: -15, Most: 3}, func(e *Engine) *latency.Snapshot { return e.disk.Log().FsyncTimes() })
	c.addTimes("keywatch_checkpoint_duration_seconds", "How long checkpoints take.",
		web.HistogramRange{Least: -8, Most: 9}, func(e *Engine) *latency.Snapshot { return e.disk.CheckpointTimes() })
	c.add("keywatch_checkpoint_age_seconds", "Time since the last checkpoint; -1 if this process made none.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Checkpoint.AgeMS) / 1e3 })
	c.add("keywatch_checkpoint_seconds", "How long the last checkpoint took.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Checkpoint.TookMS) / 1e3 })
	c.add("keywatch_checkpoint_wrote_bytes", "Bytes that the last checkpoint wrote.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Checkpoint.WroteBytes) })
	c.add("keywatch_checkpoints_total", "Checkpoints made.", prometheus.CounterValue,
		func(s *Status) float64 { return float64(s.Checkpoint.Made) })
	c.add("keywatch_checkpoints_failed_total", "Checkpoints that failed.", prometheus.CounterValue,
		func(s *Status) float64 { return float64(s.Checkpoint.Failed) })
	c.add("keywatch_checkpoint_installs_total", "Checkpoints of other servers that took the place of this one's.", prometheus.CounterValue,
		func(s *Status) float64 { return float64(s.Checkpoint.Installs) })
	c.add("keywatch_checkpoint_file_bytes", "Bytes of the checkpoint file.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Checkpoint.FileBytes) })
	c.add("keywatch_checkpoint_live_bytes", "Bytes of its current records.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Checkpoint.LiveBytes) })
	c.add("keywatch_checkpoint_dirty_bytes", "Bytes that the next checkpoint will write.", prometheus.GaugeValue,
		func(s *Status) float64 { return float64(s.Checkpoint.DirtyBytes) })
}

func (c *collector) add(name, help string, kind prometheus.ValueType, value func(*Status) float64) {
	c.all = append(c.all, metric{prometheus.NewDesc(name, help, nil, nil), kind, value})
}

func (c *collector) addTimes(name, help string, span web.HistogramRange, read func(*Engine) *latency.Snapshot) {
	c.times = append(c.times, timing{prometheus.NewDesc(name, help, nil, nil), span, read})
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.all {
		ch <- m.desc
	}
	for _, t := range c.times {
		ch <- t.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.engine.Status()
	for _, m := range c.all {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s))
	}
	for _, t := range c.times {
		ch <- web.NewHistogram(t.desc, t.span, t.read(c.engine))
	}
}
