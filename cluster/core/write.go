package core

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/persist/wal"
)

// Write makes w durable. An error is final: nothing may be written any more.
func (s *Storage) Write(w Write) error {
	if w.hard != (wal.Hard{}) {
		if err := s.stable.SetHard(w.hard); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.mu.commit = max(s.mu.commit, w.commit)
	commit, alone := s.mu.commit, s.aloneLocked()
	s.mu.Unlock()
	if w.Snapshot != nil {
		if err := s.install(w.Snapshot.GetMetadata()); err != nil {
			return err
		}
	}
	switch {
	case len(w.Entries) == 0 && !w.keep:
		return nil
	case alone && !w.keep, faulty(lostCommit):
		return s.append(w.Entries, s.log.Append)
	}
	return s.append(w.Entries, func(e ...*wal.Entry) error { return s.log.Keep(commit, e...) })
}

// errEntryType is returned for an entry that no release writes.
var errEntryType = errors.New("type of log entry is not supported")

// append writes entries, which replace what the log has from the first of them on.
func (s *Storage) append(entries []*raftpb.Entry, write func(...*wal.Entry) error) error {
	if len(entries) == 0 {
		return write()
	}
	if err := s.cut(entries[0].GetIndex()); err != nil {
		return err
	}
	s.slab, s.group = s.slab[:0], s.group[:0]
	for _, e := range entries {
		kind, err := entryType(e)
		if err != nil {
			return err
		}
		s.slab = append(s.slab, wal.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Type: kind, Data: e.Data})
	}
	for i := range s.slab {
		s.group = append(s.group, &s.slab[i])
	}
	err := write(s.group...)
	clear(s.slab) // the data is not held any longer
	if err != nil {
		return err
	}
	last := entries[len(entries)-1]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.recent = append(s.mu.recent, entries...)
	for _, e := range entries {
		s.mu.bytes += len(e.Data)
	}
	s.mu.last = Point{last.GetIndex(), last.GetTerm()}
	return nil
}

// entryType returns how the log calls an entry.
func entryType(e *raftpb.Entry) (wal.EntryType, error) {
	switch {
	case e.GetType() == raftpb.EntryConfChangeV2:
		return wal.Members, nil
	case e.GetType() != raftpb.EntryNormal:
		return 0, fmt.Errorf("%w: %v at %d", errEntryType, e.GetType(), e.GetIndex())
	case len(e.Data) == 0:
		return wal.Noop, nil
	}
	return wal.Command, nil
}

// cut removes what the log has from an index on.
func (s *Storage) cut(from uint64) error {
	s.mu.Lock()
	last := s.mu.last.Index
	if keep := slices.IndexFunc(s.mu.recent, func(e *raftpb.Entry) bool { return e.GetIndex() >= from }); keep >= 0 {
		s.dropLocked(keep, len(s.mu.recent))
	}
	s.mu.Unlock()
	if from > last {
		return nil
	}
	return s.log.DeleteRange(from, last)
}

// install takes a state of another server in place of the log. The log goes last: what it holds
// was acknowledged.
func (s *Storage) install(m *raftpb.SnapshotMetadata) error {
	at := Point{m.GetIndex(), m.GetTerm()}
	if err := s.replace(at); err != nil {
		return err
	}
	s.mu.Lock()
	s.mu.start, s.mu.changed = at, at.Index
	s.mu.floor, s.mu.last, s.mu.recent = s.mu.start, s.mu.start, nil
	s.mu.bytes = 0
	s.mu.members, s.mu.commit = m.GetConfState(), max(s.mu.commit, m.GetIndex())
	s.mu.Unlock()
	return s.log.Discard(at.Index)
}

// BytesAfter returns the bytes of the entries after an index; MaxInt if they are not in memory.
func (s *Storage) BytesAfter(index uint64) (bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.mu.recent); index < s.mu.last.Index && (n == 0 || s.mu.recent[0].GetIndex() > index+1) {
		return math.MaxInt
	}
	for _, e := range slices.Backward(s.mu.recent) {
		if e.GetIndex() <= index {
			break
		}
		bytes += len(e.Data)
	}
	return bytes
}

// keepRecent is how many bytes of entries stay in memory for the other servers.
const keepRecent = 16 << 20

// Applied lets go of what is in memory up to an index. A server that is alone does not read it
// again; one of several keeps what the others may not have.
func (s *Storage) Applied(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := keepRecent
	if s.aloneLocked() {
		keep = 0
	}
	n, bytes := 0, s.mu.bytes
	for n < len(s.mu.recent) && s.mu.recent[n].GetIndex() <= index && (keep == 0 || bytes > keep) {
		bytes -= len(s.mu.recent[n].Data)
		n++
	}
	s.dropLocked(0, n)
}

// dropLocked lets go of recent entries.
func (s *Storage) dropLocked(from, to int) {
	for _, e := range s.mu.recent[from:to] {
		s.mu.bytes -= len(e.Data)
	}
	s.mu.recent = slices.Delete(s.mu.recent, from, to)
}

// Compact removes what a checkpoint holds that ends at p. The Core must know that it is applied:
// Raft looks for changes of members in all that it does not know to be.
func (s *Storage) Compact(p Point) error {
	s.mu.Lock()
	behind := p.Index <= s.mu.floor.Index
	if !behind {
		s.mu.floor = p
	}
	s.mu.Unlock()
	if behind {
		return nil
	}
	return s.log.DeleteRange(0, p.Index) // also what an earlier run did not come to remove
}
