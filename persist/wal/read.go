package wal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// aheadSize is how much is read at once when entries are read in order, in bytes.
const aheadSize = 256 << 10

// A readAhead holds a piece of one segment. What a segment holds before its end
// never changes while the segment has its number, so it cannot be stale.
type readAhead struct {
	sync.Mutex
	next uint64 // index that would be the next in order
	seg  uint32
	off  int64
	buf  []byte
}

// Read reads one entry into e; e's slices belong to the caller. Errors:
// ErrNotFound, *disk.DamageError, ErrClosed, or what stopped the log.
func (l *Log) Read(index uint64, e *Entry) error {
	if err := l.usable(); err != nil {
		return err
	}
	s, at, end := l.locate(index)
	for s != nil {
		err := l.readEntry(s, at, end, index, e)
		if err == nil {
			return nil
		}
		// The entry may have been removed, and its file used again, meanwhile.
		now, place, limit := l.locate(index)
		if now == s && place == at {
			return err
		}
		s, at, end = now, place, limit
	}
	return ErrNotFound
}

// locate returns where an entry is and how far its segment can be read; no segment
// if there is no such entry.
func (l *Log) locate(index uint64) (s *segment, at loc, end int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if index < l.mu.first || index-l.mu.first >= uint64(len(l.mu.locs)) {
		return nil, loc{}, 0
	}
	at = l.mu.locs[index-l.mu.first]
	i, _ := slices.BinarySearchFunc(l.mu.segs, at.seg,
		func(s *segment, n uint32) int { return int(int64(s.number) - int64(n)) })
	return l.mu.segs[i], at, l.mu.segs[i].end
}

// readEntry reads one entry, from the buffer if entries are being read in order.
func (l *Log) readEntry(s *segment, at loc, end int64, index uint64, e *Entry) error {
	b := l.ahead.take(s, at, end, index)
	if b == nil {
		b = make([]byte, at.length)
		if _, err := s.file.ReadAt(b, at.off); err != nil {
			return fmt.Errorf("read log entry %d: %w", index, err)
		}
	}
	err := decodeEntry(b, index, e)
	if errors.Is(err, errChecksum) || errors.Is(err, errEntries) {
		return s.damage(at.off, fmt.Sprintf("entry %d: %v", index, err))
	}
	return err
}

// take returns a copy of an entry's bytes if entries are being read in order, or
// nil if the caller should read it alone: out of order, larger than the buffer, or
// another reader is at it.
func (r *readAhead) take(s *segment, at loc, end int64, index uint64) []byte {
	if !r.TryLock() {
		return nil
	}
	defer r.Unlock()
	inOrder := index == r.next
	r.next = index + 1
	if !r.holds(s, at) {
		if !inOrder || int64(at.length) > aheadSize || !r.fill(s, at.off, end) {
			return nil
		}
	}
	start := at.off - r.off
	return bytes.Clone(r.buf[start : start+int64(at.length)])
}

// holds tells whether an entry is in the buffer.
func (r *readAhead) holds(s *segment, at loc) bool {
	return r.seg == s.number && at.off >= r.off &&
		at.off+int64(at.length) <= r.off+int64(len(r.buf))
}

// fill reads from off as much as there is, at most aheadSize.
func (r *readAhead) fill(s *segment, off, end int64) bool {
	if r.buf == nil {
		r.buf = make([]byte, aheadSize)
	}
	r.buf = r.buf[:min(aheadSize, end-off)]
	r.seg, r.off = s.number, off
	if _, err := s.file.ReadAt(r.buf, off); err != nil {
		r.buf = r.buf[:0]
		return false
	}
	return true
}
