package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"keywatch/persist/disk"

	"keywatch/kv/wake"
)

var (
	// ErrClosed is returned by everything that is asked of a closed log.
	ErrClosed = errors.New("log is closed")
	// ErrNotContiguous is returned by Append when an entry's index does not
	// follow the one before it; nothing has been written.
	ErrNotContiguous = errors.New("log entries are not contiguous")
	// ErrTooLarge is returned by Append when one call holds more than 1 GiB;
	// nothing has been written.
	ErrTooLarge = errors.New("log entries are too large for one write")
	// ErrHole is returned by DeleteRange for a range that has entries before and
	// after it; nothing has been removed.
	ErrHole = errors.New("the log range to delete is inside the log")
	// ErrNotFound is returned by Read for an entry that the log does not hold.
	ErrNotFound = errors.New("log entry not found")
)

// A Log is the log on disk; the package comment has its contract. It is safe for
// concurrent use.
//
// Locks are acquired in the order of the fields. wr and files are held across I/O
// by the one who writes or changes the set of files; mu is not, so that readers
// never wait for the disk.
type Log struct {
	dir  string
	opts Options
	fs   disk.FS
	log  *slog.Logger
	run  uint32

	// wr makes writers queue.
	wr struct {
		sync.Mutex
		buf     []byte // the group being written
		locs    []loc  // its entries
		real    uint64 // seq of the last group that changes the log
		covered uint64 // highest synced that a written group names
	}
	// files guards the set of files beyond the active one.
	files struct {
		sync.Mutex
		last  uint32    // number of the last segment made
		next  *segment  // ready for use, or nil
		spare disk.File // given-up segment under spareName, or nil
	}
	// sy makes those queue who fsync the active segment beside the writer.
	sy sync.Mutex
	// mu guards what readers see.
	mu struct {
		sync.RWMutex
		segs    []*segment // oldest first, the last one is active
		first   uint64     // index of locs[0]; meaningless if there is none
		floor   uint64     // last index that was removed from the front, 0 if not known
		locs    []loc
		kept    uint64   // what Kept returns
		bytes   int64    // encoded bytes of all live entries
		tail    position // of the last group written
		durable position // of the last group fsynced
		keep    uint32   // oldest segment still needed
		closed  bool
	}

	ahead  readAhead
	count  counters
	failed atomic.Pointer[failure]
	short  atomic.Pointer[failure] // why there is no room for another segment, nil if there is
	told   sync.Once               // Fatal was called

	dirty wake.Chan     // the flusher has work
	chore wake.Chan     // the housekeeper has work
	stop  chan struct{} // closed by Close: both end
	tasks sync.WaitGroup
}

// A loc is the place of one encoded entry.
type loc struct {
	off    int64
	length uint32
	seg    uint32
}

// A position is the end of the log after a group: its number, and the last index
// then, 0 if there was no entry.
type position struct {
	seq, index uint64
}

type failure struct{ err error }

// Open opens the log in dir, making folder and log if they do not exist. It
// returns a *disk.DamageError, and changes nothing, if acknowledged entries can no
// longer be read. The caller owns the folder (LockDir) and must Close the log.
func Open(dir string, opts Options) (*Log, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	l := &Log{
		dir: dir, opts: opts, fs: opts.FS, log: opts.Logger,
		dirty: wake.New(),
		chore: wake.New(),
		stop:  make(chan struct{}),
	}
	if err := l.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := l.recover(); err != nil {
		l.closeFiles()
		return nil, fmt.Errorf("open log: %w", err)
	}
	if !opts.inline {
		l.tasks.Go(l.flusher)
		l.tasks.Go(l.housekeeper)
	}
	return l, nil
}

// Close makes everything durable, leaves a mark that says so, and closes the
// files. It returns the error that stopped the log, if any. It may be called
// twice; the second call returns nil.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.mu.closed
	l.mu.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	close(l.stop)
	l.tasks.Wait()
	defer l.tell()
	l.wr.Lock()
	defer l.wr.Unlock()
	err := l.broken()
	if err == nil {
		err = l.syncTail()
	}
	if err == nil {
		err = l.markLocked()
	}
	l.closeFiles()
	return err
}

// closeFiles closes every file; nothing in them is waiting any more.
func (l *Log) closeFiles() {
	l.files.Lock()
	defer l.files.Unlock()
	l.mu.Lock()
	segs := slices.Clone(l.mu.segs)
	l.mu.Unlock()
	if l.files.next != nil {
		segs = append(segs, l.files.next)
	}
	for _, s := range segs {
		s.file.Close()
	}
	if l.files.spare != nil {
		l.files.spare.Close()
	}
	l.files.next, l.files.spare = nil, nil
}

// FirstIndex returns the index of the oldest entry, 0 if there is none.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.mu.locs) == 0 {
		return 0, l.usableLocked()
	}
	return l.mu.first, l.usableLocked()
}

// LastIndex returns the index of the newest entry, 0 if there is none.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.tail.index, l.usableLocked()
}

// An Extent says what a log holds and held.
type Extent struct {
	// First and Last are the indexes of the oldest and the newest entry, 0 if there is
	// none.
	First, Last uint64
	// Floor is the last index that was removed because a checkpoint has it; 0 if there
	// was none, or an earlier release removed it.
	Floor uint64
	// Groups counts what was ever written to the log and is durable; it never falls.
	Groups uint64
}

// Extent returns what the log holds now.
func (l *Log) Extent() (e Extent, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.mu.locs) > 0 {
		e.First = l.mu.first
	}
	e.Last, e.Floor, e.Groups = l.mu.tail.index, l.mu.floor, l.mu.durable.seq
	return e, l.usableLocked()
}

// Kept returns the highest commit that Keep was given, 0 for none.
func (l *Log) Kept() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.kept
}

// Synced returns the index of the newest durable entry, 0 if there is none.
func (l *Log) Synced() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.durable.index
}

// Bytes returns the encoded size of all entries.
func (l *Log) Bytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.bytes
}

// BytesAfter returns the encoded size of the entries after index.
func (l *Log) BytesAfter(index uint64) int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if index < l.mu.first {
		return l.mu.bytes
	}
	at := min(index+1-l.mu.first, uint64(len(l.mu.locs)))
	if at <= uint64(len(l.mu.locs))/2 { // the part before is shorter
		return l.mu.bytes - sizeOf(l.mu.locs[:at])
	}
	return sizeOf(l.mu.locs[at:])
}

func sizeOf(locs []loc) (n int64) {
	for i := range locs {
		n += int64(locs[i].length)
	}
	return n
}

// EntriesWithin returns how many of the newest entries together have at most n
// encoded bytes.
func (l *Log) EntriesWithin(n int64) uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	kept := uint64(0)
	for i := len(l.mu.locs) - 1; i >= 0; i-- {
		if n -= int64(l.mu.locs[i].length); n < 0 {
			break
		}
		kept++
	}
	return kept
}

// usableLocked returns why the log refuses, nil if it does not.
func (l *Log) usableLocked() error {
	if l.mu.closed {
		return ErrClosed
	}
	return l.broken()
}

// usable is usableLocked for those who do not hold mu.
func (l *Log) usable() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.usableLocked()
}

// broken returns the error that stopped the log, nil if none did.
func (l *Log) broken() error {
	if f := l.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// fail stops the log for good and returns the error that did, which is the first.
func (l *Log) fail(err error) error {
	l.failed.CompareAndSwap(nil, &failure{err})
	return l.broken()
}

// tell reports a failure to the owner, once. Called without locks.
func (l *Log) tell() {
	err := l.broken()
	if err == nil {
		return
	}
	l.told.Do(func() {
		l.log.Error("log stopped", "err", err)
		if l.opts.Fatal != nil {
			l.opts.Fatal(err)
		}
	})
}
