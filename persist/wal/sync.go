package wal

import (
	"time"
)

// Sync makes everything durable that was written before the call. Under SyncAlways
// it already is. Errors: ErrClosed, or what stopped the log.
func (l *Log) Sync() error {
	if err := l.usable(); err != nil {
		return err
	}
	defer l.tell()
	return l.syncTail()
}

// syncTail is Sync for those who hold wr.
func (l *Log) syncTail() error {
	l.sy.Lock()
	defer l.sy.Unlock()
	if err := l.broken(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.mu.durable.seq >= l.mu.tail.seq {
		l.mu.Unlock()
		return nil
	}
	end := l.mu.tail
	s := l.mu.segs[len(l.mu.segs)-1]
	l.mu.Unlock()
	// Segments before the active one were made durable when they were sealed.
	if err := l.fsync(s); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// A truncation since made itself durable, and stands for more.
	if l.mu.durable.seq < end.seq {
		l.mu.durable = end
	}
	return nil
}

// SyncThrough returns once every entry up to index that the log holds is durable.
func (l *Log) SyncThrough(index uint64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if l.Synced() >= index {
		return nil
	}
	return l.Sync()
}

// flusher ends with Close. Under SyncInterval it makes durable what was written;
// under both policies it leaves a mark when writing has paused.
func (l *Log) flusher() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	delay := markAfter
	if l.opts.Sync == SyncInterval {
		delay = l.opts.Interval
	}
	for {
		select {
		case <-l.stop:
			return
		case <-l.dirty:
		}
		seen := l.tailSeq()
		pause.Reset(delay)
		select {
		case <-l.stop:
			return
		case <-pause.C:
		}
		l.flush(seen)
		l.tell()
	}
}

// flush makes everything durable and, if nothing was written since group seen,
// leaves a mark.
func (l *Log) flush(seen uint64) {
	if l.syncTail() != nil || l.tailSeq() != seen {
		return
	}
	l.wr.Lock()
	defer l.wr.Unlock()
	if l.syncTail() == nil {
		l.markLocked()
	}
}

// tailSeq returns the number of the last group written.
func (l *Log) tailSeq() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.tail.seq
}
