package wal

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"keywatch/persist/disk"
)

const (
	// roomShare is the part of the active segment, one in roomShare, that is left to
	// what is on its way once there is no room for another one.
	roomShare = 4
	// roomPoll is how often a log that is short of room looks for some.
	roomPoll = time.Second
	// roomWait is how long a write waits for room. The log is stopped afterwards.
	roomWait = 10 * time.Second
)

// ErrNoRoom is matched by what Room returns.
var ErrNoRoom = errors.New("there is no room for the log")

// Room returns nil while the log can take more. Otherwise no segment could be made
// after the active one, of which a quarter is left at most, and the error matches
// ErrNoRoom and the cause, such as syscall.ENOSPC. Entries are accepted nevertheless,
// until nothing is left; a caller that asks first loses nothing when the disk is full. The
// log looks for room each second. While all is well this costs one atomic load.
func (l *Log) Room() error {
	f := l.short.Load()
	if f == nil {
		return nil
	}
	l.mu.RLock()
	s := l.mu.segs[len(l.mu.segs)-1]
	left := s.size - s.end
	l.mu.RUnlock()
	if left > s.size/roomShare {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrNoRoom, f.err)
}

// Short reports whether no segment could be made after the active one while there
// are others before it: a checkpoint would free those.
func (l *Log) Short() bool {
	if l.short.Load() == nil {
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.mu.segs) > 1
}

// noteRoom records whether a segment could be made, and says so if that is news.
func (l *Log) noteRoom(err error) {
	if err == nil {
		if l.short.Swap(nil) != nil {
			l.log.Info("there is room for the log again")
		}
		return
	}
	if l.short.Swap(&failure{err}) == nil {
		l.log.Warn("there is no room for the next log segment; it is looked for each second", "err", err)
		l.opts.Short()
	}
}

// awaitRoom waits a moment if err says that the disk was full for a write, and
// reports whether to try it again: nothing of it has been written. It does so
// until deadline; then the log is stopped. Called without locks.
func (l *Log) awaitRoom(err error, deadline time.Time) bool {
	if !disk.IsFull(err) || l.broken() != nil {
		return false
	}
	l.noteRoom(err)
	if l.opts.inline || time.Now().After(deadline) {
		l.fail(err)
		return false
	}
	select {
	case <-l.stop:
		l.fail(err)
		return false
	case <-time.After(roomPoll / 10):
		return true
	}
}

// checkFree returns an error like that of a write to a full disk if there are not
// n bytes free, so that what little there is is not filled first.
func (l *Log) checkFree(n int64) error {
	free, err := l.fs.Free(l.dir)
	if err == nil && free < n {
		return fmt.Errorf("%d bytes are free, %d are needed: %w", free, n, syscall.ENOSPC)
	}
	return nil // a file system that cannot tell will say when it is full
}
