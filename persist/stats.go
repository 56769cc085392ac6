package persist

import (
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv/latency"
	"keywatch/persist/wal"
)

// Stats are figures of the checkpoint and of the log.
type Stats struct {
	Log wal.Stats
	// Checkpoint is the number of the last committed checkpoint, 0 if there is none;
	// Index, Rev and LogTime (milliseconds) say how far it reaches.
	Checkpoint uint64
	Index      uint64
	Rev        uint64
	LogTime    int64
	// Last is when this process committed one; the zero time if it has not. Took is how
	// long it took, LastRecords and LastBytes what it wrote.
	Last        time.Time
	Took        time.Duration
	LastRecords int64
	LastBytes   int64
	// Checkpoints and Aborted count those of this process.
	Checkpoints, Aborted uint64
	// Ranges counts the ranges in the file, Records what they hold and Live the part
	// of it that is current; Pinned are deletion records kept for what they hide.
	Ranges              int
	Records, Live       int64
	Bytes, LiveBytes    int64
	Pinned              int64
	IdemRecords         int64
	FileBytes           int64
	Sweeps, Compactions uint64
	Installs            uint64 // checkpoints of other servers
	SweptRecords        int64  // records that sweeping removed
	MovedRecords        int64  // records that it wrote again
	Images              int    // backups and snapshots being read
}

// dbStats are the parts of Stats that are counted.
type dbStats struct {
	sync.Mutex
	last                           Stats
	times                          latency.Histogram
	aborted, compactions, installs atomic.Uint64
}

// checkpoint counts a committed checkpoint.
func (s *dbStats) checkpoint(done *sink) {
	s.Lock()
	defer s.Unlock()
	s.last.Checkpoints++
	s.last.Last = time.Now()
	s.last.Took = time.Since(done.begun)
	s.times.Observe(s.last.Took)
	s.last.LastRecords, s.last.LastBytes = done.records, done.next.bytesSince(done.base.seq)
}

// swept counts a rewritten run of ranges.
func (s *dbStats) swept(old []revRange, into revRange) {
	s.Lock()
	defer s.Unlock()
	s.last.Sweeps++
	s.last.MovedRecords += into.all.n
	s.last.SweptRecords -= into.all.n
	for i := range old {
		s.last.SweptRecords += old[i].all.n
	}
}

// CheckpointTimes returns how long the checkpoints of this process took.
func (db *DB) CheckpointTimes() *latency.Snapshot { return db.stats.times.Snapshot() }

// Stats returns the figures now.
func (db *DB) Stats() Stats {
	db.stats.Lock()
	s := db.stats.last
	db.stats.Unlock()
	s.Aborted, s.Compactions = db.stats.aborted.Load(), db.stats.compactions.Load()
	s.Installs = db.stats.installs.Load()
	s.Log = db.wal.Stats()
	h := db.head.Load()
	s.Checkpoint, s.Index, s.Rev, s.LogTime = h.seq, h.index, uint64(h.meta.At.Rev), h.meta.Time
	s.Ranges, s.IdemRecords = len(h.ranges), h.idem.n
	for i := range h.ranges {
		r := &h.ranges[i]
		s.Records += r.all.n
		s.Bytes += r.all.bytes
		s.Live += r.live.n
		s.LiveBytes += r.live.bytes
		s.Pinned += r.dead().n
	}
	s.FileBytes, _ = db.BackupSize()
	db.images.Lock()
	s.Images = len(db.images.open)
	db.images.Unlock()
	return s
}
