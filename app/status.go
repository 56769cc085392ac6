package app

import (
	"time"

	"keywatch/cluster"
	"keywatch/persist/wal"
)

// Status is what an engine says of itself, as /v1/status shows it.
type Status struct {
	Durability string `json:"durability"`
	Data       string `json:"data,omitempty"`
	// Store names the store: its folder, its backups and its values in object storage.
	Store      string           `json:"store,omitempty"`
	Cluster    ClusterStatus    `json:"cluster"`
	Log        *LogStatus       `json:"log,omitempty"`
	Checkpoint *CheckpointState `json:"checkpoint,omitempty"`
	Memory     *MemoryStatus    `json:"memory"`
	Tiers      *TiersStatus     `json:"tiers"`
	Objects    *ObjectStatus    `json:"objects,omitempty"`
	// Background is the work under way, the oldest first.
	Background []BackgroundStatus `json:"background,omitempty"`
}

// ClusterStatus is about the order of writes.
type ClusterStatus struct {
	Leader   bool   `json:"leader"`
	Nodes    int    `json:"nodes"`
	Index    uint64 `json:"index"`
	Entries  uint64 `json:"entries"`
	Commands uint64 `json:"commands"`
	Queued   int    `json:"queued"`
	Refused  uint64 `json:"refused"`
	// Members is about the other servers; nil for a server that is alone.
	Members *MembersStatus `json:"members,omitempty"`
}

// MembersStatus is what a server knows of its cluster, and what it did with the others.
type MembersStatus struct {
	Level       int    `json:"level"`
	Term        uint64 `json:"term"`
	LeaderKnown bool   `json:"leader_known"`
	Commit      uint64 `json:"commit"`
	// LagMS is how far this server is behind the leader; -1 if that is not known.
	LagMS       int64 `json:"lag_ms"`
	Voters      int   `json:"voters"`
	Servers     int   `json:"servers"`
	Unreachable int   `json:"unreachable"`
	// Differ is how many members have another state than this server after the same log entry, if it leads.
	Differ int `json:"differ"`
	// Installing says that the state of another server takes the place of this one's.
	Installing bool `json:"installing"`
	// Led counts the terms in which it led. The rest are as in cluster.Stats.
	Led        uint64 `json:"led"`
	Forwarded  uint64 `json:"forwarded"`
	Resent     uint64 `json:"resent"`
	Lost       uint64 `json:"lost"`
	Reads      uint64 `json:"reads"`
	ReadRounds uint64 `json:"read_rounds"`
}

// membersStatus returns the figures of a server of a cluster, nil for one that is alone.
func (e *Engine) membersStatus(n *cluster.Stats) *MembersStatus {
	if e.members == nil {
		return nil
	}
	s, err := e.node.StandingsWithin(statusWait)
	if err != nil {
		return nil // it has ended
	}
	m := &MembersStatus{
		Level: s.Roster.Level, Term: s.Term, LeaderKnown: s.Leader != 0, Commit: s.Commit, LagMS: -1,
		Voters: s.Voters, Servers: len(s.Members),
		Installing: n.Installing, Led: n.Led, Forwarded: n.Forwarded, Resent: n.Resent, Lost: n.Lost, Reads: n.Reads, ReadRounds: n.ReadRounds,
	}
	if lag := e.node.Lag(); lag < unknownLag {
		m.LagMS = lag.Milliseconds()
	}
	for _, x := range s.Members {
		if !x.Reachable {
			m.Unreachable++
		}
		if x.Differs {
			m.Differ++
		}
	}
	return m
}

// LogStatus is about the log on disk. Durations are in microseconds.
type LogStatus struct {
	Bytes     int64  `json:"bytes"`
	DiskBytes int64  `json:"disk_bytes"`
	Segments  int    `json:"segments"`
	Fsyncs    uint64 `json:"fsyncs"`
	FsyncMean int64  `json:"fsync_mean_us"`
	FsyncMax  int64  `json:"fsync_max_us"`
	// NoRoom says why writes are refused while the disk is full.
	NoRoom string `json:"no_room,omitempty"`
}

// CheckpointState is about the checkpoint. AgeMS is -1 if this process made none.
type CheckpointState struct {
	Rev         uint64 `json:"rev"`
	AgeMS       int64  `json:"age_ms"`
	TookMS      int64  `json:"took_ms"`
	Records     int64  `json:"records"`
	LiveRecords int64  `json:"live_records"`
	FileBytes   int64  `json:"file_bytes"`
	LiveBytes   int64  `json:"live_bytes"`
	DirtyKeys   int    `json:"dirty_keys"`
	DirtyBytes  int64  `json:"dirty_bytes"`
	Made        uint64 `json:"made"`
	Failed      uint64 `json:"failed"`
	Sweeps      uint64 `json:"sweeps"`
	// Installs counts the checkpoints of other servers that took the place of this one's.
	Installs uint64 `json:"installs"`
	// WroteRecords and WroteBytes are what the last one wrote.
	WroteRecords int64 `json:"wrote_records"`
	WroteBytes   int64 `json:"wrote_bytes"`
}

// Status returns the engine's figures now.
func (e *Engine) Status() Status {
	n, k := e.node.Stats(), e.state().Stats()
	s := Status{Durability: e.Durability(), Cluster: ClusterStatus{
		Leader: n.Leader, Nodes: 1, Index: k.Index, Entries: n.Entries, Commands: n.Commands,
		Queued: n.Queued, Refused: n.Refused,
	}}
	if s.Cluster.Members = e.membersStatus(&n); s.Cluster.Members != nil {
		s.Cluster.Nodes = s.Cluster.Members.Servers
	}
	s.Memory, s.Tiers = e.memory.status(), tiersStatus(e.state().Tiers())
	s.Background = e.background.status()
	if e.objects != nil {
		s.Objects = e.objects.status()
	}
	if e.disk == nil {
		return s
	}
	d := e.disk.Stats()
	s.Data, s.Store = e.config.Data, e.disk.Store().String()
	s.Log = logStatus(d.Log)
	s.Log.Bytes = e.logAfter()
	if err := e.disk.Log().Room(); err != nil {
		s.Log.NoRoom = err.Error()
	}
	s.Checkpoint = &CheckpointState{
		Rev: d.Rev, AgeMS: -1, TookMS: d.Took.Milliseconds(), Records: d.Records, LiveRecords: d.Live,
		FileBytes: d.FileBytes, LiveBytes: d.LiveBytes, DirtyKeys: k.DirtyKeys, DirtyBytes: k.DirtyBytes,
		Made: d.Checkpoints, Failed: d.Aborted, Sweeps: d.Sweeps, Installs: d.Installs,
		WroteRecords: d.LastRecords, WroteBytes: d.LastBytes,
	}
	if !d.Last.IsZero() {
		s.Checkpoint.AgeMS = time.Since(d.Last).Milliseconds()
	}
	return s
}

func logStatus(d wal.Stats) *LogStatus {
	s := &LogStatus{
		Bytes: d.Bytes, DiskBytes: d.DiskBytes, Segments: d.Segments, Fsyncs: d.Fsyncs,
		FsyncMax: d.FsyncMax.Microseconds(),
	}
	if d.Fsyncs > 0 {
		s.FsyncMean = d.FsyncSum.Microseconds() / int64(d.Fsyncs)
	}
	return s
}
