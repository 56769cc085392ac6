package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"keywatch/persist/disk"
)

// chores has housekeeping done: by its goroutine, or at once in tests.
func (l *Log) chores() {
	if l.opts.inline {
		l.housekeep()
		return
	}
	l.chore.Wake()
}

// housekeeper ends with Close. It makes segments ahead and gives up old ones.
func (l *Log) housekeeper() {
	again := time.NewTimer(roomPoll)
	defer again.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.chore:
		case <-again.C:
		}
		if l.housekeep(); l.short.Load() != nil {
			again.Reset(roomPoll)
		}
		l.tell()
	}
}

// housekeep gives up the segments that are not needed any more and has the next
// one ready once the active one is in use. What fails here and left the log whole
// is logged and tried again with other files when it is needed.
func (l *Log) housekeep() {
	l.files.Lock()
	defer l.files.Unlock()
	if l.broken() != nil {
		return
	}
	for s := l.dead(); s != nil; s = l.dead() {
		if err := l.giveUp(s); err != nil {
			l.log.Warn("old log segment stays for now", "file", s.path, "err", err)
			return
		}
	}
	l.mu.RLock()
	s := l.mu.segs[len(l.mu.segs)-1]
	used := s.end > segmentHead
	l.mu.RUnlock()
	if !used || l.files.next != nil {
		return
	}
	next, err := l.makeSegment(l.nextSize(s), l.stop)
	if errors.Is(err, ErrClosed) {
		return
	}
	l.noteRoom(err)
	l.files.next = next
}

// dead returns the oldest segment if it is not needed any more, nil otherwise.
func (l *Log) dead() *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if s := l.mu.segs[0]; s.number < l.mu.keep {
		return s
	}
	return nil
}

// giveUp removes the oldest segment's file, or puts it aside to be used again. The
// folder is synced after each, so that a power cut leaves no hole between those
// that are left; and after an error the segment stays the oldest for the same
// reason.
func (l *Log) giveUp(s *segment) error {
	reuse := l.files.spare == nil && s.size == l.opts.SegmentSize
	var err error
	if reuse {
		err = l.fs.Rename(s.path, filepath.Join(l.dir, spareName))
	} else {
		err = l.fs.Remove(s.path)
	}
	if err == nil {
		err = l.syncDir()
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.mu.segs = l.mu.segs[1:]
	l.mu.Unlock()
	if reuse {
		l.files.spare = s.file
		return nil
	}
	l.sy.Lock() // a Sync may still be on it
	defer l.sy.Unlock()
	s.file.Close()
	return nil
}

// nextSize returns the size of the segment after s: twice as large until the full
// size is reached.
func (l *Log) nextSize(s *segment) int64 {
	return min(max(2*s.size, firstSegmentSize), l.opts.SegmentSize)
}

// takeNext returns the segment after old, with room for a group of n bytes: the
// one made ahead or, if there is none or it is too small, a new one. Called with
// wr held.
func (l *Log) takeNext(old *segment, n int64) (*segment, error) {
	l.files.Lock()
	defer l.files.Unlock()
	next := l.files.next
	l.files.next = nil
	if next != nil && next.fits(n) {
		return next, nil
	}
	if next != nil {
		next.file.Close()
		if err := l.fs.Remove(next.path); err != nil {
			return nil, fmt.Errorf("replace log segment: %w", err)
		}
		l.files.last--
	}
	return l.makeSegment(max(l.nextSize(old), segmentHead+n+groupSize(0)), nil)
}

// makeSegment makes the next segment, of at least size bytes, durable and under its
// name. It gives up with ErrClosed when quit is closed. Called with files held.
func (l *Log) makeSegment(size int64, quit <-chan struct{}) (*segment, error) {
	number := l.files.last + 1
	path := filepath.Join(l.dir, segmentName(number))
	s := &segment{path: path, number: number, salt: newSalt(), store: l.opts.Store, size: size, end: segmentHead}
	from, err := l.blank(s, quit)
	if err == nil {
		err = writeHead(s)
	}
	if err == nil {
		err = l.fs.Rename(from, path)
	}
	if err == nil {
		err = l.syncDir()
	}
	if err != nil {
		if s.file != nil {
			s.file.Close()
			l.fs.Remove(from) // a half-made file only takes space
		}
		return nil, fmt.Errorf("make log segment: %w", err)
	}
	l.files.last = number
	l.log.Debug("log segment ready", "file", path, "bytes", s.size)
	return s, nil
}

// writeHead makes a segment's head durable.
func writeHead(s *segment) error {
	if _, err := s.file.WriteAt(s.encodeHead(), 0); err != nil {
		return err
	}
	return s.file.Sync()
}

// blank gives a segment its file, the spare one or one filled with zeros, and
// returns the file's path.
func (l *Log) blank(s *segment, quit <-chan struct{}) (string, error) {
	if l.files.spare != nil && s.size <= l.opts.SegmentSize {
		s.file, s.size = l.files.spare, l.opts.SegmentSize
		l.files.spare = nil
		l.count.reused.Add(1)
		return filepath.Join(l.dir, spareName), nil
	}
	if err := l.checkFree(s.size); err != nil {
		return "", err
	}
	path := filepath.Join(l.dir, freshName)
	f, err := l.fs.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	s.file = f
	return path, fill(f, s.size, quit)
}

// fill writes zeros and syncs now and then, so that no later fsync of the log has
// to wait for all of them.
func fill(f disk.File, size int64, quit <-chan struct{}) error {
	zeros := make([]byte, min(size, fillChunk))
	for off := int64(0); off < size; {
		select {
		case <-quit:
			return ErrClosed
		default:
		}
		n := min(int64(len(zeros)), size-off)
		if _, err := f.WriteAt(zeros[:n], off); err != nil {
			return err
		}
		off += n
		if off%fillSync == 0 && off < size {
			if err := f.Sync(); err != nil {
				return err
			}
		}
	}
	return nil // writeHead syncs the rest
}

// syncDir makes the folder durable; an error stops the log, because nothing would
// tell later which names are there.
func (l *Log) syncDir() error {
	if err := l.fs.SyncDir(l.dir); err != nil {
		return l.fail(fmt.Errorf("sync log folder: %w", err))
	}
	return nil
}
