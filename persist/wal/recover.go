package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"keywatch/persist/disk"
)

// recover reads the log that is there, or begins one. It decides first and
// changes files only when the log is known to be whole.
func (l *Log) recover() error {
	numbers, leftovers, err := listFiles(l.fs, l.dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		s, err := openSegment(l.fs, l.dir, n)
		if err != nil {
			return err
		}
		l.mu.segs = append(l.mu.segs, s)
		l.files.last = n
		if s.store != 0 && l.opts.Store != 0 && s.store != l.opts.Store {
			return s.foreign(l.opts.Store)
		}
	}
	w := walk{log: l, segs: l.mu.segs, seq: 1, keep: 1}
	if err := w.all(); err != nil {
		return err
	}
	l.run, l.wr.real, l.wr.covered, l.mu.keep = w.run+1, w.real, w.synced, w.keep
	l.mu.tail.seq = w.seq - 1
	l.mu.durable = l.mu.tail // settle makes it true before anybody writes
	if l.opts.Accept != nil && len(numbers) > 0 {
		if err := l.opts.Accept(l); err != nil {
			return err
		}
	}
	for _, name := range leftovers {
		if err := l.fs.Remove(filepath.Join(l.dir, name)); err != nil {
			return err
		}
	}
	// A crashed run may have left names that are there but not durable.
	if err := l.syncDir(); err != nil {
		return err
	}
	if len(l.mu.segs) == 0 {
		return l.begin()
	}
	if err := l.placeEnd(w.at); err != nil {
		return err
	}
	return l.settle(w.open)
}

// listFiles returns the segments that are there, in order, and the leftovers of
// files that were being made. A hole between segments is a missing one.
func listFiles(fsys disk.FS, dir string) (numbers []uint32, leftovers []string, err error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if n, ok := parseSegmentName(name); ok {
			numbers = append(numbers, n)
		}
		if name == freshName || name == spareName {
			leftovers = append(leftovers, name)
		}
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if want := numbers[0] + uint32(i); n != want {
			return nil, nil, missing(dir, want)
		}
	}
	return numbers, leftovers, nil
}

// missing returns the error for a segment that is not there.
func missing(dir string, number uint32) error {
	return &disk.MisfitError{
		Kind: disk.ErrMissing, File: filepath.Join(dir, segmentName(number)),
		Reason: "is missing: the log needs this segment",
		Remedy: "put the file back, or " + Remedy,
	}
}

// begin makes the first segment of a new log, a small one.
func (l *Log) begin() error {
	l.files.Lock()
	defer l.files.Unlock()
	s, err := l.makeSegment(min(firstSegmentSize, l.opts.SegmentSize), nil)
	if err != nil {
		return err
	}
	l.mu.segs = []*segment{s}
	return nil
}

// placeEnd makes the segment at place i the active one; the one behind it, if any,
// was made ahead and is still unused.
func (l *Log) placeEnd(i int) error {
	if behind := l.mu.segs[i+1:]; len(behind) > 1 {
		return behind[1].damage(0, "a segment follows one that was not sealed")
	} else if len(behind) == 1 {
		l.files.next = behind[0]
	}
	l.mu.segs = l.mu.segs[:i+1]
	return nil
}

// settle makes durable what was found, and leaves a mark that says so. The groups
// from open on, which none names as durable, are written once more: after a failed
// fsync the system may show bytes that never reached the disk, and calls them
// clean.
func (l *Log) settle(open int64) error {
	l.wr.Lock()
	defer l.wr.Unlock()
	n := len(l.mu.segs)
	if s := l.mu.segs[n-1]; s.end > segmentHead {
		if err := l.rewrite(s, open); err != nil {
			return err
		}
	} else if n > 1 { // the seal before it is the last group
		before := l.mu.segs[n-2]
		if err := l.rewrite(before, before.end-groupSize(0)); err != nil {
			return err
		}
	}
	l.mu.durable = l.mu.tail
	return l.markLocked()
}

// rewrite writes what a segment holds from off on over itself, durably.
func (l *Log) rewrite(s *segment, off int64) error {
	b := make([]byte, min(fillChunk, s.end-off))
	for ; off < s.end; off += int64(len(b)) {
		b = b[:min(int64(len(b)), s.end-off)]
		if _, err := s.file.ReadAt(b, off); err != nil {
			return fmt.Errorf("read log segment: %w", err)
		}
		if err := l.writeAt(s, b, off); err != nil {
			return err
		}
	}
	return l.fsync(s)
}

// A walk reads all groups in order and rebuilds the index.
type walk struct {
	log    *Log
	segs   []*segment
	at     int    // place of the segment that the log ends in
	open   int64  // offset in it of the first group that none names as durable
	seq    uint64 // number that the next group should have
	synced uint64 // highest number that a group names as durable
	real   uint64 // number of the last group that is not a mark
	run    uint32 // highest run seen
	prev   uint32 // run of the group before
	keep   uint32 // oldest segment that is needed
	spans  []span // groups of the segment being read
}

// A span is where a group ends and what its number is.
type span struct {
	seq uint64
	end int64
}

// all reads every segment until the log ends, and looks for proof that it should
// not end there.
func (w *walk) all() error {
	for i, s := range w.segs {
		w.at, w.spans = i, w.spans[:0]
		sealed, reason, err := w.segment(s)
		if err != nil {
			return err
		}
		if !sealed {
			return w.cut(reason)
		}
		if i == len(w.segs)-1 {
			return missing(w.log.dir, s.number+1)
		}
	}
	return nil
}

// segment reads the groups of one segment. It tells whether the seal was reached
// and, if not, why the last place holds no group.
func (w *walk) segment(s *segment) (sealed bool, reason error, err error) {
	r := reader{file: s.file, size: s.size}
	for {
		g, size, why, err := r.group(s.end, s.salt)
		if err != nil {
			return false, nil, fmt.Errorf("read log segment: %w", err)
		}
		if why == nil && len(w.spans) == 0 && w.at == 0 && s.number > 1 {
			w.seq = g.seq // the log was compacted: it begins here
		}
		if why == nil && (g.seq != w.seq || g.run < w.prev) {
			why = errNoGroup // left over from before a cut
		}
		if why != nil {
			return false, why, nil
		}
		if err := w.group(s, g); err != nil {
			return false, nil, err
		}
		s.end += size
		w.spans = append(w.spans, span{g.seq, s.end})
		if g.kind == kindSeal {
			return true, nil, nil
		}
	}
}

// group applies one group to the log.
func (w *walk) group(s *segment, g group) error {
	l := w.log
	w.seq, w.prev, w.run = g.seq+1, g.run, max(w.run, g.run)
	w.synced = max(w.synced, g.synced)
	if g.kind != kindMark && g.kind != kindSeal {
		w.real = g.seq
	}
	switch g.kind {
	case kindEntries:
		return w.entries(s, g, 0)
	case kindKept:
		if len(g.payload) < keptHead {
			return s.damage(s.end, errEntries.Error())
		}
		l.mu.kept = max(l.mu.kept, binary.LittleEndian.Uint64(g.payload))
		if g.count > 0 || len(g.payload) > keptHead {
			return w.entries(s, g, keptHead)
		}
	case kindTruncate:
		l.dropFromLocked(g.index)
		l.mu.floor = max(l.mu.floor, decodeFloor(g.payload))
		w.keep = g.count
	case kindFloor:
		l.dropBeforeLocked(g.index)
		l.mu.floor = max(l.mu.floor, g.index-1)
		w.keep = g.count
	case kindMark, kindSeal:
	default:
		return disk.Newer(s.path, fmt.Sprintf("log groups of kind %d", g.kind), fmt.Sprintf("kinds up to %d", lastKind))
	}
	return nil
}

// entries puts a group's entries, which begin at a place in its payload, into the index.
func (w *walk) entries(s *segment, g group, begin int) error {
	l := w.log
	if last := l.mu.tail.index; len(l.mu.locs) > 0 && g.index != last+1 {
		return s.damage(s.end, fmt.Sprintf("entry %d follows entry %d", g.index, last))
	}
	locs := l.wr.locs[:0]
	for off := begin; off < len(g.payload); {
		n, err := entryLength(g.payload[off:])
		if err != nil {
			return s.damage(s.end, err.Error())
		}
		locs = append(locs, loc{off: int64(groupHead + off), length: uint32(n)})
		off += n
	}
	if len(locs) == 0 || len(locs) != int(g.count) {
		return s.damage(s.end, errEntries.Error())
	}
	l.wr.locs = locs
	l.addLocked(g.index, s.number, s.end)
	return nil
}

// cut ends the log before group w.seq, in segment w.at, unless a group anywhere
// beyond names that one as durable, or segments that the log needs are gone.
func (w *walk) cut(reason error) error {
	s := w.segs[w.at]
	if w.at == 0 && len(w.spans) == 0 && s.number > 1 {
		return s.damage(s.end, "the oldest segment begins with no whole group")
	}
	if w.segs[0].number > w.keep {
		return missing(w.log.dir, w.keep)
	}
	for _, other := range w.segs[w.at:] {
		if err := w.beyond(s, other); err != nil {
			return err
		}
	}
	w.open = segmentHead
	for _, p := range w.spans {
		if p.seq <= w.synced {
			w.open = p.end
		}
	}
	if errors.Is(reason, errChecksum) {
		w.log.log.Info("log ends in an unfinished write, which was cut off",
			"file", s.path, "offset", s.end, "last", w.log.mu.tail.index)
	}
	w.log.count.entries.Store(0)
	return nil
}

// beyond looks in a segment, behind its last group, for groups that prove damage
// at the end of s.
func (w *walk) beyond(s, in *segment) error {
	r := reader{file: in.file, size: in.size}
	for off := in.end; ; off += groupAlign {
		off, err := r.find(off, in.salt)
		if err != nil {
			return fmt.Errorf("read log segment: %w", err)
		}
		if off < 0 {
			return nil
		}
		g, _, why, err := r.group(off, in.salt)
		if err != nil {
			return fmt.Errorf("read log segment: %w", err)
		}
		if why != nil {
			continue
		}
		w.run = max(w.run, g.run)
		if g.synced >= w.seq && !w.log.opts.trustTail {
			return s.damage(s.end, fmt.Sprintf(
				"group %d cannot be read, and group %d at byte %d of %s names %d as durable",
				w.seq, g.seq, off, filepath.Base(in.path), g.synced))
		}
	}
}
