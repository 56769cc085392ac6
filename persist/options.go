package persist

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"keywatch/kv/progress"
	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

// Defaults of Options.
const (
	DefaultRangeRecords = 1 << 16
	DefaultRangeBytes   = 32 << 20
	DefaultTxRecords    = 10_000
	DefaultTxBytes      = 512 << 10
	DefaultImageTimeout = 15 * time.Minute
)

// Options configures a DB; the zero value is the default.
type Options struct {
	// FS is the file system of log, stable store and clean-stop mark; nil means disk.OS.
	// The checkpoint file is bbolt's and always on the operating system's.
	FS disk.FS
	// SegmentSize, Sync, Interval, Fatal and Short are the log's: see wal.Options.
	// Fatal is the stable store's too.
	SegmentSize int64
	Sync        wal.SyncPolicy
	Interval    time.Duration
	Fatal       func(error)
	Short       func()
	// Store is the id of the store that begins in a folder without one; 0 draws one.
	Store disk.StoreID
	// Existing refuses a folder that holds no store, instead of beginning one there.
	Existing bool
	// Release is the version of this program, for the store file. It may be empty.
	Release string
	// Logger gets rare events; nil means slog.Default.
	Logger *slog.Logger
	// RangeRecords and RangeBytes bound how much of a checkpoint is swept as one.
	RangeRecords int
	RangeBytes   int64
	// TxRecords and TxBytes bound one transaction while a checkpoint is written.
	TxRecords int
	TxBytes   int
	// ImageTimeout bounds how long a backup or a snapshot being sent holds its view
	// of the file, because nothing it sees is used again meanwhile.
	ImageTimeout time.Duration
	// LoadPinned is called before dead records are dropped; those of versions that a
	// reader may still ask for are to be read now. While it fails none is dropped.
	// nil is for a state whose values are all in memory.
	LoadPinned func(ctx context.Context) error
	// Progress is told what is done with the checkpoint file: "check", in pages, and "load",
	// "checkpoint", "sweep" and "compact", in records. nil reports nothing.
	Progress *progress.Board
	// Interrupt, if not nil, is closed to end Open, which then fails with ErrClosed. What
	// comes after Open is ended by GiveUp.
	Interrupt <-chan struct{}

	// before and after are called around the commit of each transaction, with its
	// kind; an error of before undoes it. Tests use them.
	before func(kind string) error
	after  func(kind string)
	// unthrottled leaves out the rests between transactions, unsynced the fsyncs of the
	// checkpoint file.
	unthrottled, unsynced bool
	// early drops deletion records while they still hide something; tests use
	// it to show that they would notice.
	early bool
}

// validate fills in defaults and refuses what cannot work.
func (o *Options) validate() error {
	if o.FS == nil {
		o.FS = disk.OS
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.RangeRecords, DefaultRangeRecords}, {&o.TxRecords, DefaultTxRecords}, {&o.TxBytes, DefaultTxBytes}} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return errors.New("checkpoint options are negative")
		}
	}
	if o.RangeBytes == 0 {
		o.RangeBytes = DefaultRangeBytes
	}
	if o.ImageTimeout == 0 {
		o.ImageTimeout = DefaultImageTimeout
	}
	if o.RangeBytes < 0 || o.ImageTimeout < 0 {
		return errors.New("checkpoint options are negative")
	}
	return nil
}
