package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"keywatch/kv"
)

// MemoryStatus is about what counts against --memory-max. Each figure in bytes stands twice:
// under the name that it had first, and under one with its unit.
type MemoryStatus struct {
	MemoryBytes
	Limit   int64 `json:"limit"`
	Used    int64 `json:"used"`
	Values  int64 `json:"values"`
	Keys    int64 `json:"keys"`
	History int64 `json:"history"`
	Kept    int64 `json:"kept_for_snapshots"`
	Idem    int64 `json:"idempotency"`
	Leases  int64 `json:"leases"`
	// Log is what the log takes, 0 where it is on disk.
	Log int64 `json:"log,omitempty"`
	// Evictable is the part of Values that could be dropped at once.
	Evictable int64 `json:"evictable"`
	// Waited counts the writes that had to wait for room, Refused those of them
	// that got none.
	Waited  uint64 `json:"waited"`
	Refused uint64 `json:"refused"`
}

// MemoryBytes are the figures of MemoryStatus with their unit.
type MemoryBytes struct {
	LimitBytes     int64 `json:"limit_bytes"`
	UsedBytes      int64 `json:"used_bytes"`
	ValuesBytes    int64 `json:"values_bytes"`
	KeysBytes      int64 `json:"keys_bytes"`
	HistoryBytes   int64 `json:"history_bytes"`
	KeptBytes      int64 `json:"kept_for_snapshots_bytes"`
	IdemBytes      int64 `json:"idempotency_bytes"`
	LeasesBytes    int64 `json:"leases_bytes"`
	LogBytes       int64 `json:"log_bytes,omitempty"`
	EvictableBytes int64 `json:"evictable_bytes"`
}

// bytes returns the figures with their unit.
func (m *MemoryStatus) bytes() MemoryBytes {
	return MemoryBytes{
		LimitBytes: m.Limit, UsedBytes: m.Used, ValuesBytes: m.Values, KeysBytes: m.Keys, HistoryBytes: m.History,
		KeptBytes: m.Kept, IdemBytes: m.Idem, LeasesBytes: m.Leases, LogBytes: m.Log, EvictableBytes: m.Evictable,
	}
}

// TiersStatus is about where values lie.
type TiersStatus struct {
	Memory     TierStatus `json:"memory"`
	Disk       TierStatus `json:"disk"`
	Object     TierStatus `json:"object"`
	Promotions uint64     `json:"promotions"`
	Evictions  uint64     `json:"evictions"`
}

// TierStatus is about one tier: the keys whose value is there, the bytes of
// these values, and the reads that found one there, in all and as a share.
type TierStatus struct {
	Keys    int64   `json:"keys"`
	Bytes   int64   `json:"bytes"`
	Reads   uint64  `json:"reads"`
	HitRate float64 `json:"hit_rate"`
}

// status returns the figures now.
func (m *memory) status() *MemoryStatus {
	s := m.state().Memory()
	out := &MemoryStatus{
		Limit: m.limit, Used: m.used(), Values: s.Values, Keys: s.Table, History: m.hub.Memory(),
		Kept: s.Kept, Idem: s.Idem, Leases: s.Leases, Log: m.logBytes(), Evictable: s.Evictable,
		Waited: m.waited.Load(), Refused: m.refused.Load(),
	}
	out.MemoryBytes = out.bytes()
	return out
}

func tiersStatus(t kv.Tiers) *TiersStatus {
	var reads uint64
	for i := range t.Tier {
		reads += t.Tier[i].Reads
	}
	one := func(tier kv.Tier) TierStatus {
		x := t.Tier[tier]
		return TierStatus{Keys: x.Keys, Bytes: x.Bytes, Reads: x.Reads, HitRate: float64(x.Reads) / max(1, float64(reads))}
	}
	return &TiersStatus{
		Memory: one(kv.TierMemory), Disk: one(kv.TierDisk), Object: one(kv.TierObject),
		Promotions: t.Promotions, Evictions: t.Evictions,
	}
}

// addTiers adds the metrics of memory and tiers.
func (c *collector) addTiers() {
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	c.add("keywatch_memory_max_bytes", "Bound on memory for values, keys, metadata and history.", gauge,
		func(s *Status) float64 { return float64(s.Memory.Limit) })
	c.add("keywatch_memory_used_bytes", "Memory that counts against the bound.", gauge,
		func(s *Status) float64 { return float64(s.Memory.Used) })
	c.add("keywatch_memory_values_bytes", "Memory of values.", gauge,
		func(s *Status) float64 { return float64(s.Memory.Values) })
	c.add("keywatch_memory_keys_bytes", "Memory of keys and their metadata.", gauge,
		func(s *Status) float64 { return float64(s.Memory.Keys) })
	c.add("keywatch_memory_leases_bytes", "Memory of leases, those of locks and their queues included.", gauge,
		func(s *Status) float64 { return float64(s.Memory.Leases) })
	c.add("keywatch_memory_log_bytes", "Memory of the log, 0 where it is on disk.", gauge,
		func(s *Status) float64 { return float64(s.Memory.Log) })
	c.add("keywatch_memory_evictable_bytes", "Memory of values that the checkpoint holds too.", gauge,
		func(s *Status) float64 { return float64(s.Memory.Evictable) })
	c.add("keywatch_memory_waited_total", "Writes that had to wait for memory.", counter,
		func(s *Status) float64 { return float64(s.Memory.Waited) })
	c.add("keywatch_memory_refused_total", "Writes refused because memory was full.", counter,
		func(s *Status) float64 { return float64(s.Memory.Refused) })
	c.add("keywatch_tier_promotions_total", "Values that a read brought back into memory.", counter,
		func(s *Status) float64 { return float64(s.Tiers.Promotions) })
	c.add("keywatch_tier_evictions_total", "Values dropped from memory.", counter,
		func(s *Status) float64 { return float64(s.Tiers.Evictions) })
	for name, pick := range map[string]func(*Status) *TierStatus{
		"memory": func(s *Status) *TierStatus { return &s.Tiers.Memory },
		"disk":   func(s *Status) *TierStatus { return &s.Tiers.Disk },
		"object": func(s *Status) *TierStatus { return &s.Tiers.Object },
	} {
		tier := prometheus.Labels{"tier": name}
		c.addLabelled("keywatch_tier_hit_rate", "Share of all reads since the start that found the value in a tier.", tier, gauge,
			func(s *Status) float64 { return pick(s).HitRate })
		c.addLabelled("keywatch_tier_keys", "Keys by the tier that holds their value.", tier, gauge,
			func(s *Status) float64 { return float64(pick(s).Keys) })
		c.addLabelled("keywatch_tier_bytes", "Values that lie in a tier.", tier, gauge,
			func(s *Status) float64 { return float64(pick(s).Bytes) })
		c.addLabelled("keywatch_tier_reads_total", "Reads that found the value in a tier.", tier, counter,
			func(s *Status) float64 { return float64(pick(s).Reads) })
	}
}

func (c *collector) addLabelled(name, help string, labels prometheus.Labels, kind prometheus.ValueType, value func(*Status) float64) {
	c.all = append(c.all, metric{prometheus.NewDesc(name, help, nil, labels), kind, value})
}
