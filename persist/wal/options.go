package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"keywatch/persist/disk"
)

// SyncPolicy says when what the log writes becomes durable.
type SyncPolicy uint8

const (
	// SyncAlways makes Append return only after the fsync.
	SyncAlways SyncPolicy = iota
	// SyncInterval makes Append return after the write; an fsync follows
	// within Options.Interval.
	SyncInterval
)

// Defaults and bounds of Options.
const (
	DefaultSegmentSize = 64 << 20
	DefaultInterval    = 100 * time.Millisecond

	minSegmentSize   = 4 << 10
	maxSegmentSize   = 1 << 40
	firstSegmentSize = 4 << 20 // small, so that a fresh store is ready at once
	markAfter        = time.Second
)

// Options configures a Log; the zero value is the default.
type Options struct {
	// FS is the file system; nil means disk.OS.
	FS disk.FS
	// Store is whose log it is: each segment that is made says so, and one that says
	// otherwise is refused. 0 is for a log that belongs to no store.
	Store disk.StoreID
	// Accept, if not nil, is called with the log as it was found, before anything is
	// changed, and may read it. Its error refuses the log. It is not called where there
	// is no log.
	Accept func(*Log) error
	// SegmentSize is the size of a full-grown segment in bytes, at least 4 KiB; 0
	// means DefaultSegmentSize. The first ones are smaller and double.
	SegmentSize int64
	// Sync is the policy; the zero value is SyncAlways.
	Sync SyncPolicy
	// Interval is the longest time that a write stays without an fsync under
	// SyncInterval; 0 means DefaultInterval.
	Interval time.Duration
	// Fatal is called once, with the error, when a write or an fsync has failed.
	// The log has refused everything since. It is meant to end the process. It is called without a lock
	// held, on the goroutine that met the error. nil only logs.
	Fatal func(error)
	// Short is called when there is no room for another segment: a checkpoint may free
	// some. It must return at once, because the log is locked. nil does nothing.
	Short func()
	// Logger gets rare events; nil means slog.Default.
	Logger *slog.Logger

	// inline makes housekeeping run within the call that asked for it, so that
	// tests see one fixed order of operations.
	inline bool
	// trustTail turns off the search for proof beyond the cut; tests use it to
	// show that they would notice.
	trustTail bool
}

// validate fills in defaults and refuses what cannot work.
func (o *Options) validate() error {
	if o.FS == nil {
		o.FS = disk.OS
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Short == nil {
		o.Short = func() {}
	}
	if o.SegmentSize < minSegmentSize || o.SegmentSize > maxSegmentSize {
		return fmt.Errorf("log segment size %d is not within %d and %d",
			o.SegmentSize, minSegmentSize, int64(maxSegmentSize))
	}
	if o.Interval < 0 {
		return errors.New("log sync interval is negative")
	}
	if o.Sync > SyncInterval {
		return fmt.Errorf("unknown log sync policy %d", o.Sync)
	}
	return nil
}
