package cluster

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"keywatch/kv"
	"keywatch/persist/wal"
)

// A Log keeps entries, durably if it says so. Entries follow each other without a gap. An
// error of a write is final: the node ends then.
type Log interface {
	// FirstIndex and LastIndex return the indexes of the oldest and the newest entry, 0 if
	// there is none.
	FirstIndex() (uint64, error)
	LastIndex() (uint64, error)
	// Read reads one entry into e.
	Read(index uint64, e *wal.Entry) error
	// Append adds entries; they are durable when it returns. An empty log takes any first
	// index. It keeps no entry, but may keep their data.
	Append(entries ...*wal.Entry) error
	// DeleteRange removes the entries from lowest to highest, which reach one of the ends.
	DeleteRange(lowest, highest uint64) error
}

// A Stable keeps, durably, what Raft must not forget.
type Stable interface {
	Hard() (wal.Hard, error)
	SetHard(wal.Hard) error
}

// Checkpoints keep the state as it is after an entry, so that the log before it can go.
type Checkpoints interface {
	// Checkpoint writes cp, the state after the entry at index, which has term. cp belongs
	// to it: it commits or aborts cp.
	Checkpoint(cp *kv.Checkpoint, index, term uint64) error
	// Last returns what the last call of Checkpoint that succeeded was given; 0 and 0 if
	// there was none.
	Last() (index, term uint64)
}

// MemoryCheckpoints are those of a server that keeps nothing: a checkpoint only lets it cut
// its log.
type MemoryCheckpoints struct{}

// Checkpoint commits cp.
func (MemoryCheckpoints) Checkpoint(cp *kv.Checkpoint, _, _ uint64) error {
	cp.Commit()
	return nil
}

// Last returns 0 and 0: there is nothing to start from.
func (MemoryCheckpoints) Last() (index, term uint64) { return 0, 0 }

// storage is what Raft reads: the log, with what was appended last in memory. Raft reads it from
// the goroutine that owns the core, one other goroutine appends, and one compacts.
type storage struct {
	id     uint64
	log    Log
	stable Stable
	// start is where the checkpoint ends that the state was loaded from.
	start raftPoint
	slab  []wal.Entry // of append, used again
	group []*wal.Entry

	mu struct {
		sync.Mutex
		// floor is the last entry that the log does not have any more, last its newest.
		floor, last raftPoint
		// recent are the newest entries of the log, from the first that is not applied on.
		recent []*raftpb.Entry
		err    error // of a read that failed
	}
}

// A raftPoint is a place in the log.
type raftPoint struct{ index, term uint64 }

var _ raft.Storage = (*storage)(nil)

// openStorage begins a store that has no history, and looks at what the log of another one holds.
func openStorage(o *Options) (*storage, error) {
	s := &storage{id: wal.SoleID, log: o.Log, stable: o.Stable}
	s.start.index, s.start.term = o.Checkpoints.Last()
	if err := s.begin(); err != nil {
		return nil, err
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return nil, err
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return nil, err
	}
	s.mu.floor, s.mu.last = s.start, s.start
	if first == 0 {
		return s, nil
	}
	if first > s.start.index+1 || last < s.start.index {
		return nil, fmt.Errorf("the log has the entries from %d to %d, and the checkpoint ends at %d", first, last, s.start.index)
	}
	e, err := s.fetch(last)
	s.mu.last = raftPoint{last, e.GetTerm()}
	return s, err
}

// begin writes what a store without history begins with: its members, as earlier releases did.
func (s *storage) begin() error {
	hard, err := s.stable.Hard()
	if err != nil {
		return err
	}
	last, err := s.log.LastIndex()
	if err != nil || hard.Term > 0 || last > 0 || s.start.index > 0 {
		return err
	}
	if err := s.stable.SetHard(wal.Hard{Term: 1}); err != nil {
		return err
	}
	return s.log.Append(&wal.Entry{Index: 1, Term: 1, Type: wal.Configuration, Data: []byte(wal.SoleMembers)})
}

// InitialState implements raft.Storage. The entries of the checkpoint are committed; those of
// the log will be, once this server leads.
func (s *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	h, err := s.stable.Hard()
	if err != nil {
		return nil, nil, err
	}
	return &raftpb.HardState{Term: &h.Term, Vote: &h.Vote, Commit: &s.start.index}, &raftpb.ConfState{Voters: []uint64{s.id}}, nil
}

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.floor.index + 1, nil
}

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.last.index, nil
}

// Term implements raft.Storage.
func (s *storage) Term(index uint64) (uint64, error) {
	s.mu.Lock()
	floor, last := s.mu.floor, s.mu.last
	s.mu.Unlock()
	switch {
	case index == last.index:
		return last.term, nil
	case index == floor.index:
		return floor.term, nil
	case index < floor.index:
		return 0, raft.ErrCompacted
	case index > last.index:
		return 0, raft.ErrUnavailable
	}
	e, err := s.entry(index)
	return e.GetTerm(), err
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, size uint64) (found []*raftpb.Entry, err error) {
	s.mu.Lock()
	floor, last := s.mu.floor, s.mu.last
	s.mu.Unlock()
	if lo <= floor.index {
		return nil, raft.ErrCompacted
	}
	if hi > last.index+1 {
		return nil, raft.ErrUnavailable
	}
	for left := int64(min(size, math.MaxInt64)); lo < hi; lo++ {
		e, err := s.entry(lo)
		if err != nil {
			return nil, err
		}
		if left -= int64(len(e.Data)) + entryCost; left < 0 && len(found) > 0 {
			break
		}
		found = append(found, e)
	}
	return found, nil
}

// entry returns an entry, from memory if it is there.
func (s *storage) entry(index uint64) (*raftpb.Entry, error) {
	if e := s.inMemory(index); e != nil {
		return e, nil
	}
	return s.fetch(index)
}

// inMemory returns an entry that is in memory, nil if it is not.
func (s *storage) inMemory(index uint64) *raftpb.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.recent) == 0 {
		return nil
	}
	first := s.mu.recent[0].GetIndex()
	if index < first || index-first >= uint64(len(s.mu.recent)) {
		return nil
	}
	return s.mu.recent[index-first]
}

// entryCost is about what the encoding of an entry takes beside its data, in bytes.
const entryCost = 16

// fetch reads an entry from the log. It keeps the error: what Raft makes of one is a panic.
func (s *storage) fetch(index uint64) (*raftpb.Entry, error) {
	var e wal.Entry
	if err := s.log.Read(index, &e); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.mu.err = err
		return nil, err
	}
	p := &raftpb.Entry{Index: &index, Term: &e.Term}
	if e.Type == wal.Command {
		p.Data = e.Data
	}
	return p, nil
}

// failed returns the error of a read.
func (s *storage) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err
}

// Snapshot implements raft.Storage. Nobody asks a server that is alone.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

// append writes entries, durably. They replace what the log has from the first of them on.
func (s *storage) append(entries []*raftpb.Entry) error {
	if err := s.cut(entries[0].GetIndex()); err != nil {
		return err
	}
	s.slab, s.group = s.slab[:0], s.group[:0]
	for _, e := range entries {
		kind := wal.Command
		if e.GetType() != raftpb.EntryNormal {
			return fmt.Errorf("log entry %d has type %v, which is not supported", e.GetIndex(), e.GetType())
		}
		if len(e.Data) == 0 {
			kind = wal.Noop
		}
		s.slab = append(s.slab, wal.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Type: kind, Data: e.Data})
	}
	for i := range s.slab {
		s.group = append(s.group, &s.slab[i])
	}
	err := s.log.Append(s.group...)
	clear(s.slab) // the data is not held any longer
	if err != nil {
		return err
	}
	last := entries[len(entries)-1]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.recent = append(s.mu.recent, entries...)
	s.mu.last = raftPoint{last.GetIndex(), last.GetTerm()}
	return nil
}

// cut removes what the log has from an index on.
func (s *storage) cut(from uint64) error {
	s.mu.Lock()
	last := s.mu.last.index
	if from <= last {
		keep := slices.IndexFunc(s.mu.recent, func(e *raftpb.Entry) bool { return e.GetIndex() >= from })
		if keep >= 0 {
			s.mu.recent = slices.Delete(s.mu.recent, keep, len(s.mu.recent))
		}
	}
	s.mu.Unlock()
	if from > last {
		return nil
	}
	return s.log.DeleteRange(from, last)
}

// applied lets go of what is in memory up to an index: a server that is alone does not
// read it again.
func (s *storage) applied(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.mu.recent) && s.mu.recent[n].GetIndex() <= index {
		n++
	}
	s.mu.recent = slices.Delete(s.mu.recent, 0, n)
}

// compact removes what a checkpoint holds that ends at p.
func (s *storage) compact(p raftPoint) error {
	s.mu.Lock()
	from := s.mu.floor.index + 1
	if p.index >= from {
		s.mu.floor = p
	}
	s.mu.Unlock()
	if p.index < from {
		return nil
	}
	return s.log.DeleteRange(0, p.index) // also what an earlier run did not come to remove
}
