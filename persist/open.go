package persist

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"keywatch/kv"
	"keywatch/kv/progress"
	"keywatch/persist/disk"
	"keywatch/persist/wal"

	bolt "go.etcd.io/bbolt"
)

// ErrClosed is returned by everything that is asked of a closed DB.
var ErrClosed = errors.New("data folder is closed")

// A DB is a data folder: the log, the stable store and the checkpoint. It is safe for
// concurrent use, but for Load, which comes before everything else.
type DB struct {
	dir    string
	opts   Options
	log    *slog.Logger
	lock   *disk.DirLock
	wal    *wal.Log
	stable *wal.Stable
	store  disk.StoreID
	clean  bool
	// id is what the store file says.
	id struct {
		sync.Mutex
		disk.Identity
	}

	// file and head are replaced as a whole. head is what the file's header says.
	file atomic.Pointer[boltFile]
	head atomic.Pointer[header]

	// busy holds one token; its holder may change the checkpoint file: the
	// one who writes a checkpoint, Compact, or Close. The fields below belong to the holder.
	busy chan struct{}
	// reading holds a token for each read of a cold value that is under way.
	reading chan struct{}
	// staging is set while a checkpoint is received, overtaken while it is about to replace
	// the one there is, so that other work is given up. replaced closes the files before.
	staging, overtaken atomic.Bool
	replaced           sync.WaitGroup
	// discard says that the log is of before a checkpoint that was installed.
	discard bool
	gen     uint64 // last generation given out
	torn    bool   // a failed checkpoint left something behind
	lost    error  // a failed write made the file's state unknown
	// task is the work under way, nil between.
	task *progress.Task

	// quitting is closed by GiveUp: work under way is given up. closing is closed by Close.
	quitting, closing chan struct{}
	quit, once        sync.Once
	closed            error

	images struct {
		sync.Mutex
		open map[*Image]struct{}
	}
	stats dbStats
}

// Open opens the data folder dir, or makes one, and owns it until Close. Errors:
// *disk.LockedError if another process owns it, *disk.DamageError, *disk.MisfitError
// if a file is missing, an earlier copy, of another store or of a later release, and
// ErrRestoring.
//
// The order: the lock first, because everything else changes files; then a look at
// what there is; then the checkpoint, so that a folder that holds a log has always
// held one; then stable store and log; the store file last, so that a folder that has
// one is whole. A start that is refused because files do not belong together changes
// nothing.
func Open(dir string, opts Options) (*DB, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); opts.Existing && errors.Is(err, os.ErrNotExist) {
		return nil, noStore(dir) // and does not make the folder
	}
	lock, err := disk.LockDir(dir)
	if err != nil {
		return nil, err
	}
	db, err := openLocked(dir, opts, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return db, nil
}

// openLocked opens a data folder of which lock is the lock.
func openLocked(dir string, opts Options, lock *disk.DirLock) (*DB, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	db := &DB{
		dir: dir, opts: opts, log: opts.Logger, lock: lock,
		busy: make(chan struct{}, 1), reading: make(chan struct{}, maxReading()),
		quitting: make(chan struct{}), closing: make(chan struct{}),
	}
	db.busy <- struct{}{}
	db.images.open = make(map[*Image]struct{})
	if err := db.open(); err != nil {
		return nil, errors.Join(err, db.shut())
	}
	return db, nil
}

func (db *DB) open() error {
	if err := checkRestored(db.dir); err != nil {
		return err
	}
	f, err := survey(db.opts.FS, db.dir)
	if err != nil {
		return err
	}
	db.stable, err = wal.OpenStable(db.dir, wal.StableOptions{FS: db.opts.FS, Fatal: db.opts.Fatal})
	if err != nil {
		return err
	}
	if err := db.openFiles(&f); err != nil {
		return err
	}
	if err := db.sign(&f); err != nil {
		return err
	}
	db.clean, err = disk.CleanStop.In(db.opts.FS, db.dir)
	return err
}

// openFiles opens checkpoint and log, or makes what a new store needs.
func (db *DB) openFiles(f *folder) (err error) {
	switch {
	case db.opts.Existing && f.blank():
		return noStore(db.dir)
	case f.checkpoint:
		if err := db.openCheckpoint(); err != nil {
			return fmt.Errorf("open checkpoint: %w", err)
		}
		if db.store, err = f.store(db.head.Load().link.store, db.signedStable()); err != nil {
			return err
		}
	case f.blank():
		if db.store = db.opts.Store; db.store == 0 {
			db.store = disk.NewStoreID()
		}
		db.log.Info("a new store begins", "folder", db.dir, "store", db.store)
		if err := db.makeCheckpoint(); err != nil {
			return err
		}
	case f.log.Segments == 0:
		return f.lostCheckpoint()
	default:
		if db.store, err = f.store(0, db.signedStable()); err != nil {
			return err
		}
	}
	if f.log.Segments == 0 && !db.logMayBegin(f) {
		return f.lostLog(db.head.Load().index, "are missing: they hold what was written after the last checkpoint")
	}
	if err := db.checkStable(); err != nil {
		return err
	}
	db.wal, err = wal.Open(db.dir, wal.Options{
		FS: db.opts.FS, Store: db.store, SegmentSize: db.opts.SegmentSize, Sync: db.opts.Sync,
		Interval: db.opts.Interval, Fatal: db.opts.Fatal, Short: db.opts.Short, Logger: db.log,
		Accept: func(l *wal.Log) error { return db.fit(f, l) },
	})
	if err == nil && db.discard {
		db.log.Warn("the log of before an install is discarded", "checkpoint", db.head.Load().index)
		err = db.wal.Discard(db.head.Load().index)
	}
	if err != nil || db.file.Load() != nil {
		return err
	}
	db.log.Warn("the checkpoint file is missing and is made again: the log holds everything", "folder", db.dir)
	return db.makeCheckpoint()
}

// logMayBegin reports whether a folder without a log is one that has never had any: a
// first start was cut short, or an earlier release restored it and it was never started.
func (db *DB) logMayBegin(f *folder) bool {
	if db.head.Load().seq == 0 {
		return f.blank()
	}
	return f.log.Stable && !db.stable.Voted() && !f.named && f.legacy == 0
}

// makeCheckpoint makes the checkpoint file of a new store and opens it.
func (db *DB) makeCheckpoint() error {
	if err := createBolt(db.dir, db.opts.unsynced, link{store: db.store}); err != nil {
		return fmt.Errorf("make checkpoint: %w", err)
	}
	return db.openCheckpoint()
}

// openCheckpoint opens the checkpoint file.
func (db *DB) openCheckpoint() error {
	task := db.opts.Progress.Begin("check", "pages")
	defer task.End()
	f, h, err := openChecked(filepath.Join(db.dir, checkpointName), task, db.opts.Interrupt)
	if err != nil {
		return err
	}
	f.light(db.opts.unsynced)
	db.file.Store(f)
	db.head.Store(h)
	db.gen = h.gen
	for _, name := range []string{checkpointTemp, incomingName} {
		if err := os.Remove(filepath.Join(db.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// openChecked opens a checkpoint file after a look at its structure, which checkPages
// describes.
func openChecked(path string, task *progress.Task, quit <-chan struct{}) (*boltFile, *header, error) {
	if err := checkPages(path, task, quit); err != nil {
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

// Store returns the id of the store that the folder belongs to.
func (db *DB) Store() disk.StoreID { return db.store }

// Objects returns the URL of the object store that values are in; empty if it is not
// known to be another place than the folder itself.
func (db *DB) Objects() string {
	db.id.Lock()
	defer db.id.Unlock()
	return db.id.Objects
}

// UseObjects notes, durably, the URL of the object store that values are in.
func (db *DB) UseObjects(url string) error {
	db.id.Lock()
	defer db.id.Unlock()
	if url == db.id.Objects {
		return nil
	}
	next := db.id.Identity
	next.Objects = url
	if err := next.Write(db.opts.FS, db.dir); err != nil {
		return err
	}
	db.id.Identity = next
	return nil
}

// Log returns the log, which the DB closes.
func (db *DB) Log() *wal.Log { return db.wal }

// Stable returns the stable store.
func (db *DB) Stable() *wal.Stable { return db.stable }

// Clean tells whether the run before this one ended with Close(true). After one that
// did not, a log that is not synced at each append may have lost acknowledged writes.
func (db *DB) Clean() bool { return db.clean }

// Meta returns the meta of the last committed checkpoint; ok is false if there is none.
func (db *DB) Meta() (meta kv.Meta, ok bool) {
	h := db.head.Load()
	return h.meta, h.seq > 0
}

// GiveUp ends the work that changes the checkpoint file, for a stop that cannot wait: a
// checkpoint, sweep, compaction or Load under way fails with ErrClosed before its next
// transaction or batch of records, and none begins any more. What was committed stands, and
// the log has the rest. The log and reads go on until Close. It does not wait, and may be
// called twice.
func (db *DB) GiveUp() { db.quit.Do(func() { close(db.quitting) }) }

// Close gives up a compaction or a checkpoint that is being written, ends open images, and
// closes everything. Nothing may be appended to the log any more. clean leaves the mark that
// Clean reports at the next Open, if closing met no error. Close may be called twice; the first call counts.
func (db *DB) Close(clean bool) error {
	db.once.Do(func() {
		db.GiveUp()
		close(db.closing)
		<-db.busy // the holder of the token gives up at the next transaction
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
		db.replaced.Wait()
		err = errors.Join(err, f.Close())
	}
	return err
}
