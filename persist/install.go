package persist

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"keywatch/kv"
	"keywatch/persist/disk"

	bolt "go.etcd.io/bbolt"
)

const (
	// incomingName is the checkpoint of another server while it is received.
	incomingName = "checkpoint.incoming"
	// incomingSpare is how many bytes stay free beside it.
	incomingSpare = 64 << 20
)

var (
	// ErrStaging is returned by Stage while another checkpoint is received.
	ErrStaging = errors.New("another checkpoint is being received")
	// ErrOvertaken is returned by what changes the checkpoint file when the checkpoint of
	// another server takes its place.
	ErrOvertaken = errors.New("the checkpoint of another server is newer")
	// errIncoming is why a received checkpoint is refused that is whole.
	errIncoming = errors.New("not the checkpoint that was announced")
)

// A Staged is the checkpoint of another server in a file of its own, which does not count until
// Install. It belongs to one goroutine, which ends it with Install or Discard.
type Staged struct {
	db   *DB
	path string
	left int64 // bytes that are still to be written

	file *os.File  // while it is written
	bolt *boltFile // once it is verified
	head *header
}

// Stage makes room to receive a checkpoint of so many bytes. It fails with ErrStaging, and with an
// error that matches kv.ErrDiskFull if less than 64 MiB would stay free.
func (db *DB) Stage(size int64) (s *Staged, err error) {
	if err := db.running(); err != nil {
		return nil, err
	}
	if !db.staging.CompareAndSwap(false, true) {
		return nil, ErrStaging
	}
	defer func() {
		if err != nil {
			db.staging.Store(false)
		}
	}()
	free, err := db.opts.FS.Free(db.dir)
	if err != nil {
		return nil, fmt.Errorf("receive checkpoint: %w", err)
	}
	if size > free-incomingSpare {
		return nil, fmt.Errorf("receive checkpoint: %w: it has %d bytes, %d are free, and %d must stay free", kv.ErrDiskFull, size, free, incomingSpare)
	}
	s = &Staged{db: db, path: filepath.Join(db.dir, incomingName), left: size}
	if s.file, err = os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, fmt.Errorf("receive checkpoint: %w", err)
	}
	return s, nil
}

// Write implements io.Writer. It fails if there is more than was announced.
func (s *Staged) Write(b []byte) (int, error) {
	if int64(len(b)) > s.left {
		return 0, fmt.Errorf("%w: it is longer", errIncoming)
	}
	n, err := s.file.Write(b)
	s.left -= int64(n)
	return n, err
}

// Verify reads all that was written, and fails unless it is a checkpoint that ends at index, with
// term and members. It is durable then.
func (s *Staged) Verify(index, term uint64, members []byte) error {
	if s.left > 0 {
		return fmt.Errorf("%w: %d bytes are missing", errIncoming, s.left)
	}
	err := errors.Join(s.file.Sync(), s.file.Close())
	if s.file = nil; err != nil {
		return fmt.Errorf("receive checkpoint: %w", err)
	}
	task := s.db.opts.Progress.Begin("check", "pages")
	defer task.End()
	f, h, err := openChecked(s.path, task, s.db.quitting)
	if err != nil {
		return err
	}
	s.bolt, s.head = f, h
	f.light(s.db.opts.unsynced)
	if h.seq == 0 || h.index != index || h.term != term || !bytes.Equal(h.members, members) || len(members) == 0 {
		return fmt.Errorf("%w: it ends at index %d of term %d, expected %d of term %d", errIncoming, h.index, h.term, index, term)
	}
	return checkRecords(f, h, s.db.goes)
}

// goes reports whether work under way may go on.
func (db *DB) goes() bool {
	select {
	case <-db.quitting:
		return false
	default:
		return true
	}
}

// Discard removes what was received. It may be called twice, and does nothing after Install.
func (s *Staged) Discard() error {
	if s.db == nil {
		return nil
	}
	var err error
	if s.file != nil {
		err = s.file.Close()
	}
	if s.bolt != nil {
		err = errors.Join(err, s.bolt.Close())
	}
	err = errors.Join(err, os.Remove(s.path))
	s.end()
	return err
}

// end lets the next one be staged.
func (s *Staged) end() {
	s.db.staging.Store(false)
	*s = Staged{}
}

// Install makes what Verify has found whole the checkpoint, durably; what writes a checkpoint or
// compacts meanwhile fails with ErrOvertaken. The log is to be discarded next: a start before that
// does it. After an error nothing may be written any more: the next start finds the one checkpoint or
// the other.
func (s *Staged) Install() error {
	db := s.db
	if err := db.takeOver(); err != nil {
		return fmt.Errorf("install checkpoint: %w", err)
	}
	defer db.release()
	if err := s.sign(); err != nil {
		return fmt.Errorf("install checkpoint: %w", err)
	}
	if err := db.opts.step("rename"); err != nil {
		return fmt.Errorf("install checkpoint: %w", err)
	}
	err := os.Rename(s.path, filepath.Join(db.dir, checkpointName))
	if err == nil {
		err = db.opts.step("sync folder")
	}
	if err == nil {
		err = disk.OS.SyncDir(db.dir)
	}
	if err != nil {
		db.lost = fmt.Errorf("install checkpoint: %w", err)
		return db.lost
	}
	old := db.file.Swap(s.bolt)
	db.head.Store(s.head)
	db.gen, db.torn = s.head.gen, false
	db.replaced.Go(func() { // it waits for those who read
		if err := old.Close(); err != nil {
			db.log.Warn("the checkpoint file that was replaced was not closed", "err", err)
		}
	})
	db.stats.installs.Add(1)
	s.end()
	return nil
}

// takeOver is acquire that has the work under way given up.
func (db *DB) takeOver() error {
	db.overtaken.Store(true)
	defer db.overtaken.Store(false)
	select {
	case <-db.busy:
	case <-db.quitting:
		return ErrClosed
	}
	if db.lost != nil {
		db.release()
		return db.lost
	}
	return nil
}

// sign makes the received file one of this folder, in both of bbolt's meta pages.
func (s *Staged) sign() error {
	ext, err := s.db.wal.Extent()
	if err != nil {
		return err
	}
	next := s.head.clone()
	next.installed = true
	next.link = link{store: s.db.store, groups: ext.Groups, objects: s.db.Objects()}
	s.head = next
	for range 2 {
		if err := s.db.update(s.bolt, txHeader, func(tx *bolt.Tx) error { return writeHeader(tx, next) }); err != nil {
			return err
		}
	}
	return nil
}

// step is called between two steps of an install; tests use it.
func (o *Options) step(name string) error {
	if o.before == nil {
		return nil
	}
	return o.before(name)
}
