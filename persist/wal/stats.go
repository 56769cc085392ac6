package wal

import (
	"sync/atomic"
	"time"

	"keywatch/kv/latency"
)

// Stats are figures since the log was opened, and its sizes now.
type Stats struct {
	Appends   uint64        // groups written
	Entries   uint64        // entries written
	Written   uint64        // bytes written, padding and heads included, zeros filled ahead not
	Rotations uint64        // segments sealed
	Reused    uint64        // segments made from a given-up one instead of zeros
	Fsyncs    uint64        // fsyncs of segments in use
	FsyncSum  time.Duration // time spent in them
	FsyncMax  time.Duration // the longest
	Segments  int           // files in use
	DiskBytes int64         // their sizes
	Bytes     int64         // encoded bytes of live entries
}

// counters are the parts of Stats that grow.
type counters struct {
	appends, entries, written, rotations, reused, fsyncs atomic.Uint64
	fsyncSum, fsyncMax                                   atomic.Int64
	fsyncTime                                            latency.Histogram
	// lastBegan and lastEnded are of the newest fsync, in nanoseconds of Unix time.
	lastBegan, lastEnded atomic.Int64
}

// synced counts an fsync that ends now.
func (c *counters) synced(began time.Time) {
	d := time.Since(began)
	c.lastBegan.Store(began.UnixNano())
	c.lastEnded.Store(began.UnixNano() + int64(d))
	c.fsyncs.Add(1)
	c.fsyncSum.Add(int64(d))
	c.fsyncTime.Observe(d)
	for {
		old := c.fsyncMax.Load()
		if int64(d) <= old || c.fsyncMax.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// LastFsync returns when the newest fsync of a segment in use began and ended. While another one
// ends the two may be of different ones.
func (l *Log) LastFsync() (began, ended time.Time) {
	return time.Unix(0, l.count.lastBegan.Load()), time.Unix(0, l.count.lastEnded.Load())
}

// FsyncTimes returns how long the fsyncs of segments in use took.
func (l *Log) FsyncTimes() *latency.Snapshot { return l.count.fsyncTime.Snapshot() }

// Stats returns the log's figures; each is exact, together they are no snapshot.
func (l *Log) Stats() Stats {
	s := Stats{
		Appends:   l.count.appends.Load(),
		Entries:   l.count.entries.Load(),
		Written:   l.count.written.Load(),
		Rotations: l.count.rotations.Load(),
		Reused:    l.count.reused.Load(),
		Fsyncs:    l.count.fsyncs.Load(),
		FsyncSum:  time.Duration(l.count.fsyncSum.Load()),
		FsyncMax:  time.Duration(l.count.fsyncMax.Load()),
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	s.Segments, s.Bytes = len(l.mu.segs), l.mu.bytes
	for _, g := range l.mu.segs {
		s.DiskBytes += g.size
	}
	return s
}
