package wal

import (
	"encoding/binary"
	"fmt"

	"keywatch/persist/disk"
)

// DeleteRange removes the entries from lowest to highest, both included. The range must
// reach the log's beginning (a checkpoint has them), its end (a follower's conflict)
// or both, which counts as the former; one within it is ErrHole, one outside it removes nothing. The removal is durable
// when it returns, and FirstIndex stays exact over a restart; files are given up
// afterwards, whole segments at a time.
func (l *Log) DeleteRange(lowest, highest uint64) error {
	defer l.tell()
	l.wr.Lock()
	err := l.deleteLocked(lowest, highest)
	l.wr.Unlock()
	if err == nil {
		l.chores()
	}
	if disk.IsFull(err) {
		return l.fail(err)
	}
	return err
}

// Discard removes every entry, durably: a checkpoint that ends at index takes their place, and
// may end before or after them. The next Append begins behind it.
func (l *Log) Discard(index uint64) error {
	defer l.tell()
	l.wr.Lock()
	err := l.usable()
	if last, _ := l.LastIndex(); err == nil && last > 0 {
		err = l.emptyLocked(index)
	}
	l.wr.Unlock()
	if err == nil {
		l.chores()
	}
	if disk.IsFull(err) {
		return l.fail(err)
	}
	return err
}

// deleteLocked finds out which end a range touches.
func (l *Log) deleteLocked(lowest, highest uint64) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.RLock()
	first, last, empty := l.mu.first, l.mu.tail.index, len(l.mu.locs) == 0
	l.mu.RUnlock()
	switch {
	case empty || lowest > highest || highest < first || lowest > last:
		return nil
	case lowest <= first && highest >= last:
		return l.emptyLocked(last)
	case highest >= last:
		return l.truncateLocked(lowest)
	case lowest <= first:
		return l.floorLocked(highest + 1)
	}
	return fmt.Errorf("%w: %d to %d of %d to %d", ErrHole, lowest, highest, first, last)
}

// truncateLocked removes index, which exists, and everything after it.
func (l *Log) truncateLocked(index uint64) error {
	return l.cutLocked(kindTruncate, index, nil, func() { l.dropFromLocked(index) })
}

// floorLocked removes everything before index, which exists.
func (l *Log) floorLocked(index uint64) error {
	return l.cutLocked(kindFloor, index, nil, func() {
		l.dropBeforeLocked(index)
		l.mu.floor = index - 1
	})
}

// emptyLocked removes every entry, of which there are some, and notes the index that a checkpoint
// beside the log must reach.
func (l *Log) emptyLocked(floor uint64) error {
	l.mu.RLock()
	first := l.mu.first
	l.mu.RUnlock()
	return l.cutLocked(kindTruncate, first, binary.LittleEndian.AppendUint64(nil, floor), func() {
		l.dropFromLocked(first)
		l.mu.floor = floor
	})
}

// cutLocked logs a removal durably, whatever the policy, and then does it. Segments
// are given up only once what makes them superfluous is durable.
func (l *Log) cutLocked(kind groupKind, index uint64, payload []byte, drop func()) error {
	keep := l.keepAfter(kind, index)
	l.wr.buf = append(append(l.wr.buf[:0], make([]byte, groupHead)...), payload...)
	g := group{kind: kind, index: index, count: keep}
	return l.writeLocked(g, true, func(*segment, int64) {
		drop()
		l.mu.keep = keep
	})
}

// keepAfter returns the oldest segment that is needed after a removal.
func (l *Log) keepAfter(kind groupKind, index uint64) uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case kind == kindFloor:
		return l.mu.locs[index-l.mu.first].seg
	case index > l.mu.first:
		return l.mu.locs[0].seg
	}
	return l.mu.segs[len(l.mu.segs)-1].number
}

// dropFromLocked takes index and what follows out of the index. Called with mu held.
func (l *Log) dropFromLocked(index uint64) {
	n := uint64(0)
	if index > l.mu.first {
		n = min(index-l.mu.first, uint64(len(l.mu.locs)))
	}
	for _, e := range l.mu.locs[n:] {
		l.mu.bytes -= int64(e.length)
	}
	l.mu.locs = l.mu.locs[:n]
	l.mu.tail.index = 0
	if n > 0 {
		l.mu.tail.index = l.mu.first + n - 1
	}
}

// dropBeforeLocked takes what precedes index out of the index. Called with mu held.
func (l *Log) dropBeforeLocked(index uint64) {
	if index <= l.mu.first {
		return
	}
	n := min(index-l.mu.first, uint64(len(l.mu.locs)))
	for _, e := range l.mu.locs[:n] {
		l.mu.bytes -= int64(e.length)
	}
	l.mu.locs = l.mu.locs[n:]
	l.mu.first += n
}
