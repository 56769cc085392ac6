package persist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/persist/disk"
	"keywatch/persist/wal"

	bolt "go.etcd.io/bbolt"
)

// Defaults of Options.
const (
	DefaultRangeRecords = 1 << 16
	DefaultRangeBytes   = 32 << 20
	DefaultTxRecords    = 10_000
	DefaultTxBytes      = 512 << 10
	DefaultImageTimeout = 15 * time.Minute
)

// ErrClosed is returned by everything that is asked of a closed DB.
var ErrClosed = errors.New("data folder is closed")

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

// A DB is a data folder: the log, raft's stable store and the checkpoint. It is safe for
// concurrent use, but for Load, which comes before everything else.
type DB struct {
	dir    string
	opts   Options
	log    *slog.Logger
	lock   *disk.DirLock
	wal    *wal.Log
	stable *wal.Stable
	clean  bool

	// file and head are replaced as a whole. head is what the file's header says.
	file atomic.Pointer[boltFile]
	head atomic.Pointer[header]

	// busy holds one token; whoever has taken it may change the checkpoint file: the
	// one who writes a checkpoint, Compact, or Close. The fields below are theirs.
	busy chan struct{}
	// reading holds a token for each read of a cold value that is under way.
	reading chan struct{}
	gen     uint64 // last generation given out
	torn    bool   // a failed checkpoint left something behind
	lost    error  // a failed write made the file's state unknown

	// closing is closed by Close: work under way is given up.
	closing chan struct{}
	once    sync.Once
	closed  error

	images struct {
		sync.Mutex
		open map[*Image]struct{}
	}
	stats dbStats
}

// Open opens the data folder dir, or makes one, and owns it until Close. Errors:
// *disk.LockedError if another process owns it, *disk.DamageError, ErrRestoring.
//
// The order: the lock first, because everything else changes files; then the
// checkpoint, so that a folder that holds a log has always held one; then the log;
// the clean-stop mark last, so that a refused start leaves it.
func Open(dir string, opts Options) (*DB, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	lock, err := disk.LockDir(dir)
	if err != nil {
		return nil, err
	}
	db := &DB{
		dir: dir, opts: opts, log: opts.Logger, lock: lock,
		busy: make(chan struct{}, 1), reading: make(chan struct{}, maxReading()), closing: make(chan struct{}),
	}
	db.busy <- struct{}{}
	db.images.open = make(map[*Image]struct{})
	if err := db.open(); err != nil {
		return nil, errors.Join(err, db.shut(), lock.Close())
	}
	return db, nil
}

func (db *DB) open() (err error) {
	if _, err := os.Stat(filepath.Join(db.dir, restoringName)); err == nil {
		return ErrRestoring
	}
	if err := db.openCheckpoint(); err != nil {
		return fmt.Errorf("open checkpoint: %w", err)
	}
	db.wal, err = wal.Open(db.dir, wal.Options{
		FS: db.opts.FS, SegmentSize: db.opts.SegmentSize, Sync: db.opts.Sync,
		Interval: db.opts.Interval, Fatal: db.opts.Fatal, Short: db.opts.Short, Logger: db.log,
	})
	if err != nil {
		return err
	}
	db.stable, err = wal.OpenStable(db.dir, wal.StableOptions{FS: db.opts.FS, Fatal: db.opts.Fatal})
	if err != nil {
		return err
	}
	db.clean, err = disk.CleanStop.Take(db.opts.FS, db.dir)
	return err
}

// openCheckpoint opens the checkpoint file, or makes one.
func (db *DB) openCheckpoint() error {
	if err := os.Remove(filepath.Join(db.dir, checkpointTemp)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	path := filepath.Join(db.dir, checkpointName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := createBolt(db.dir, db.opts.unsynced); err != nil {
			return err
		}
	}
	f, h, err := openChecked(path)
	if err != nil {
		return err
	}
	f.light(db.opts.unsynced)
	db.file.Store(f)
	db.head.Store(h)
	db.gen = h.gen
	return nil
}

// openChecked opens a checkpoint file after a look at its structure.
func openChecked(path string) (*boltFile, *header, error) {
	if err := checkPages(path); err != nil {
		return nil, nil, err
	}
	f, err := openBolt(path)
	if err != nil {
		return nil, nil, err
	}
	var h *header
	err = f.read(func(tx *bolt.Tx) (err error) {
		h, err = readHeader(tx)
		return err
	})
	if err != nil {
		f.Close()
		return nil, nil, asDamage(path, err)
	}
	return f, h, nil
}

// Log returns the log, which the DB closes.
func (db *DB) Log() *wal.Log { return db.wal }

// Stable returns raft's stable store.
func (db *DB) Stable() *wal.Stable { return db.stable }

// Clean tells whether the run before this one ended with Close(true). After one that
// did not, a log that is not synced at each append may have lost acknowledged writes.
func (db *DB) Clean() bool { return db.clean }

// Meta returns the meta of the last committed checkpoint; ok is false if there is none.
func (db *DB) Meta() (meta kv.Meta, ok bool) {
	h := db.head.Load()
	return h.meta, h.seq > 0
}

// Close gives up a compaction or a checkpoint that is being written, ends open images, and
// closes everything. Raft must have been shut down: a snapshot sink that is neither closed
// nor cancelled keeps Close waiting. clean leaves the mark that Clean reports at the next
// Open, if closing met no error. Close may be called twice; the first call counts.
func (db *DB) Close(clean bool) error {
	db.once.Do(func() {
		close(db.closing)
		<-db.busy // whoever has the token gives up at the next transaction
		db.closed = db.shut()
		if db.closed == nil && clean {
			db.closed = disk.CleanStop.Put(db.opts.FS, db.dir)
		}
		db.closed = errors.Join(db.closed, db.lock.Close())
	})
	return db.closed
}

// shut closes what is open, in reverse.
func (db *DB) shut() (err error) {
	if db.wal != nil {
		err = db.wal.Close()
	}
	if f := db.file.Load(); f != nil {
		db.endImages()
		err = errors.Join(err, f.Close())
	}
	return err
}
