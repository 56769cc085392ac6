package wal

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"keywatch/persist/disk"
)

// keepBuffer is the largest write buffer kept between two calls, in bytes.
const keepBuffer = 8 << 20

// Append appends entries in one write. They must follow each other and the
// log's last; an empty log takes any first index but 0. Under SyncAlways they are
// durable when it returns. Errors: ErrNotContiguous, ErrTooLarge, ErrClosed, or
// what stopped the log. The entries are not kept.
func (l *Log) Append(entries ...*Entry) error {
	if len(entries) == 0 {
		return nil
	}
	return l.write(group{kind: kindEntries}, 0, entries)
}

// Keep is Append for a store with several members: it keeps with the entries, of which there
// may be none, that everything up to commit is committed. A release before Keep refuses the
// log from then on.
func (l *Log) Keep(commit uint64, entries ...*Entry) error {
	return l.write(group{kind: kindKept}, commit, entries)
}

// write writes a group of entries, and waits a while for room if there is none.
func (l *Log) write(g group, commit uint64, entries []*Entry) error {
	defer l.tell()
	err := l.store(g, commit, entries)
	for deadline := time.Now().Add(roomWait); l.awaitRoom(err, deadline); {
		err = l.store(g, commit, entries)
	}
	if err == nil && l.opts.inline {
		l.housekeep()
	}
	return err
}

// store is storeLocked for those who do not hold wr.
func (l *Log) store(g group, commit uint64, entries []*Entry) error {
	l.wr.Lock()
	defer l.wr.Unlock()
	return l.storeLocked(g, commit, entries)
}

// groupBytes returns how many bytes a group of entries takes at most: room is made at
// once, because to double a large buffer leaves much garbage behind.
func groupBytes(entries []*Entry) int {
	n := 2 * groupHead
	for _, e := range entries {
		n += entryHead + len(e.Data)
	}
	return int(groupSize(n))
}

// storeLocked checks, encodes and writes entries.
func (l *Log) storeLocked(g group, commit uint64, entries []*Entry) error {
	if err := l.usable(); err != nil {
		return err
	}
	if err := l.checkLocked(entries); err != nil {
		return err
	}
	buf := append(slices.Grow(l.wr.buf[:0], groupBytes(entries)), make([]byte, groupHead)...)
	if g.kind == kindKept {
		buf = binary.LittleEndian.AppendUint64(buf, commit)
	}
	locs := l.wr.locs[:0]
	for _, e := range entries {
		start := len(buf)
		buf = appendEntry(buf, e)
		locs = append(locs, loc{off: int64(start), length: uint32(len(buf) - start)})
	}
	l.wr.buf, l.wr.locs = buf, locs
	if g.count = uint32(len(entries)); g.count > 0 {
		g.index = entries[0].Index
	}
	err := l.writeLocked(g, l.opts.Sync == SyncAlways, func(s *segment, off int64) {
		l.mu.kept = max(l.mu.kept, commit)
		if g.count > 0 {
			l.addLocked(g.index, s.number, off)
		}
	})
	if cap(l.wr.buf) > keepBuffer {
		l.wr.buf = nil
	}
	return err
}

// checkLocked returns ErrNotContiguous or ErrTooLarge for what cannot be stored.
func (l *Log) checkLocked(entries []*Entry) error {
	if len(entries) == 0 {
		return nil
	}
	l.mu.RLock()
	want := l.mu.tail.index + 1
	if len(l.mu.locs) == 0 && entries[0].Index > 0 {
		want = entries[0].Index
	}
	l.mu.RUnlock()
	size := 0
	for _, e := range entries {
		if e.Index != want {
			return fmt.Errorf("%w: index %d where %d should be", ErrNotContiguous, e.Index, want)
		}
		want++
		size += entryHead + len(e.Data)
		if size > maxPayload {
			return ErrTooLarge
		}
	}
	return nil
}

// addLocked puts the entries in wr.locs, which were written at off in a segment,
// into the index. Called with wr and mu held.
func (l *Log) addLocked(first uint64, number uint32, off int64) {
	if len(l.mu.locs) == 0 {
		l.mu.first = first
	}
	l.mu.locs = slices.Grow(l.mu.locs, len(l.wr.locs))
	for _, e := range l.wr.locs {
		e.off += off
		e.seg = number
		l.mu.locs = append(l.mu.locs, e)
		l.mu.bytes += int64(e.length)
	}
	l.mu.tail.index = first + uint64(len(l.wr.locs)) - 1
	l.count.entries.Add(uint64(len(l.wr.locs)))
}

// writeLocked writes the group whose payload stands in wr.buf behind groupHead
// free bytes, makes it durable if sync is set, and then lets apply change what
// readers see. Called with wr held; apply runs with mu held.
func (l *Log) writeLocked(g group, sync bool, apply func(*segment, int64)) error {
	size := groupSize(len(l.wr.buf) - groupHead)
	s := l.active()
	if !s.fits(size) {
		var err error
		if s, err = l.rotateLocked(s, size); err != nil {
			return err
		}
	}
	seq, off := l.putHeadLocked(&g, s)
	l.wr.buf = sealGroup(l.wr.buf, g)
	if err := l.writeAt(s, l.wr.buf, off); err != nil {
		return err
	}
	if sync {
		if err := l.fsync(s); err != nil {
			return err
		}
	}
	l.mu.Lock()
	s.end = off + size
	l.mu.tail.seq = seq
	apply(s, off)
	if sync {
		l.mu.durable = l.mu.tail
	}
	l.mu.Unlock()
	if g.kind != kindMark {
		l.wr.real = seq
		l.dirty.Wake()
		if off == segmentHead {
			l.chore.Wake()
		}
	}
	return nil
}

// putHeadLocked fills in what every group says and returns its number and place.
func (l *Log) putHeadLocked(g *group, s *segment) (seq uint64, off int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	g.salt, g.run = s.salt, l.run
	g.seq, g.synced = l.mu.tail.seq+1, l.mu.durable.seq
	l.wr.covered = max(l.wr.covered, g.synced)
	return g.seq, s.end
}

// active returns the segment that is written to.
func (l *Log) active() *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.segs[len(l.mu.segs)-1]
}

// rotateLocked seals the active segment, makes it durable whole, and moves on to
// one with room for a group of n bytes. wr.buf is left alone: the group is in it.
// An error that says that the disk is full has not stopped the log.
func (l *Log) rotateLocked(old *segment, n int64) (*segment, error) {
	if err := l.syncTail(); err != nil {
		return nil, err
	}
	s, err := l.takeNext(old, n)
	if disk.IsFull(err) {
		return nil, err
	}
	if err != nil {
		return nil, l.fail(err)
	}
	if err := l.sealLocked(old, s.number); err != nil {
		s.file.Close()
		return nil, err
	}
	l.mu.Lock()
	l.mu.segs = append(l.mu.segs, s)
	l.mu.Unlock()
	l.count.rotations.Add(1)
	return s, nil
}

// sealLocked writes the group that ends a segment, for which fits has kept room,
// and makes it durable. Called with all before it durable.
func (l *Log) sealLocked(s *segment, next uint32) error {
	g := group{kind: kindSeal, count: next}
	seq, off := l.putHeadLocked(&g, s)
	buf := sealGroup(make([]byte, groupHead), g)
	if err := l.writeAt(s, buf, off); err != nil {
		return err
	}
	if err := l.fsync(s); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.end = off + int64(len(buf))
	l.mu.tail.seq = seq
	l.mu.durable = l.mu.tail
	return nil
}

// markLocked writes a group that names everything before it as durable, unless one
// does already or the segment has no room. Called with wr held and all durable.
func (l *Log) markLocked() error {
	if l.wr.real <= l.wr.covered || !l.active().fits(groupSize(0)) {
		return nil
	}
	l.wr.buf = append(l.wr.buf[:0], make([]byte, groupHead)...)
	return l.writeLocked(group{kind: kindMark}, true, func(*segment, int64) {})
}

// writeAt writes to a segment; an error stops the log.
func (l *Log) writeAt(s *segment, b []byte, off int64) error {
	if _, err := s.file.WriteAt(b, off); err != nil {
		return l.fail(fmt.Errorf("write log: %w", err))
	}
	l.count.appends.Add(1)
	l.count.written.Add(uint64(len(b)))
	return nil
}

// fsync makes a segment durable; an error stops the log.
func (l *Log) fsync(s *segment) error {
	start := time.Now()
	if err := s.file.Sync(); err != nil {
		return l.fail(fmt.Errorf("sync log: %w", err))
	}
	l.count.synced(start)
	return nil
}
