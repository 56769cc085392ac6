package core

import (
	"fmt"
	"math"
	"sync"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"keywatch/persist/wal"
)

// A Log keeps entries, durably if it says so. Entries follow each other without a gap. An
// error of a write is final.
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
	// Keep is Append for a store with several members: it keeps with the entries, of which
	// there may be none, that everything up to commit is committed.
	Keep(commit uint64, entries ...*wal.Entry) error
	// Kept returns the highest commit that Keep was given, 0 for none.
	Kept() uint64
	// DeleteRange removes the entries from lowest to highest, which reach one of the ends.
	DeleteRange(lowest, highest uint64) error
	// BytesAfter returns the size of the entries after index, EntriesWithin how many of the newest
	// entries have at most n bytes.
	BytesAfter(index uint64) int64
	EntriesWithin(n int64) uint64
	// Discard removes all entries: a checkpoint that ends at index takes their place.
	Discard(index uint64) error
}

// A Stable keeps, durably, what Raft must not forget.
type Stable interface {
	Hard() (wal.Hard, error)
	SetHard(wal.Hard) error
}

// A Point is a place in the log; the zero value is before its first entry.
type Point struct{ Index, Term uint64 }

// StorageOptions configure a Storage.
type StorageOptions struct {
	// ID is this server's; 0 is wal.SoleID.
	ID     uint64
	Log    Log
	Stable Stable
	// Start is where the state ends that was loaded.
	Start Point
	// Members are those at Start; nil for this server alone.
	Members *raftpb.ConfState
	// Joins says that this server has no history and waits for that of others: it begins
	// none.
	Joins bool
	// Snapshot returns the state of this server, for one that has fallen behind. It fails
	// with raft.ErrSnapshotTemporarilyUnavailable while there is none that has the present
	// members; nil always does.
	Snapshot func() (*raftpb.Snapshot, error)
	// Install puts the state of another server, which ends at a point, in the place of this
	// one's, durably, before the log goes. An error is final. nil does nothing.
	Install func(Point) error
}

// A Storage is what Raft reads: the log, with what was appended last in memory, and the members.
// Raft reads it from the goroutine that owns the Core, one other may write, and one compact.
type Storage struct {
	id       uint64
	log      Log
	stable   Stable
	snapshot func() (*raftpb.Snapshot, error)
	replace  func(Point) error
	hard     wal.Hard    // as it was at the start
	slab     []wal.Entry // of append, used again
	group    []*wal.Entry

	mu struct {
		sync.Mutex
		// start is where the state ends that was loaded or installed. floor is the last entry
		// that the log does not have any more, last its newest.
		start, floor, last Point
		// recent are the newest entries of the log, at least from the first on that is not
		// applied.
		recent  []*raftpb.Entry
		bytes   int // of their data
		members *raftpb.ConfState
		changed uint64 // what Changed returns
		commit  uint64
		err     error // of a read that failed
	}
}

var _ raft.Storage = (*Storage)(nil)

// OpenStorage begins a store that has no history, and looks at what the log of another one holds.
func OpenStorage(o StorageOptions) (*Storage, error) {
	s := &Storage{id: o.ID, log: o.Log, stable: o.Stable, snapshot: o.Snapshot, replace: o.Install}
	s.mu.start, s.mu.members, s.mu.changed = o.Start, o.Members, o.Start.Index
	if s.id == 0 {
		s.id = wal.SoleID
	}
	if s.mu.members == nil {
		s.mu.members = new(raftpb.ConfState)
		if !o.Joins {
			s.mu.members.Voters = []uint64{s.id}
		}
	}
	if s.snapshot == nil {
		s.snapshot = func() (*raftpb.Snapshot, error) { return nil, raft.ErrSnapshotTemporarilyUnavailable }
	}
	if s.replace == nil {
		s.replace = func(Point) error { return nil }
	}
	return s, s.open(o.Joins)
}

func (s *Storage) open(joins bool) (err error) {
	if s.hard, err = s.stable.Hard(); err != nil {
		return err
	}
	if err := s.begin(joins); err != nil {
		return err
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return err
	}
	s.mu.floor, s.mu.last = s.mu.start, s.mu.start
	s.mu.commit = max(s.mu.start.Index, min(s.log.Kept(), last))
	if first == 0 {
		return nil
	}
	if at := s.mu.start.Index; first > at+1 || last < at {
		return fmt.Errorf("the log has the entries from %d to %d, and the checkpoint ends at %d", first, last, at)
	}
	if len(s.mu.members.Voters) == 0 && !faulty(joinByLog) {
		return fmt.Errorf("the log has the entries from %d to %d, and there are no members", first, last)
	}
	e, err := s.fetch(last)
	s.mu.last = Point{last, e.GetTerm()}
	if err != nil || first >= s.mu.start.Index {
		return err
	}
	// What is kept of before the checkpoint is for others. Of its first entry only the term is used.
	s.mu.floor = Point{}
	e, err = s.fetch(first)
	s.mu.floor = Point{first, e.GetTerm()}
	return err
}

// begin writes what a store without history begins with: its members, as earlier releases did.
func (s *Storage) begin(joins bool) error {
	last, err := s.log.LastIndex()
	if err != nil || joins || s.hard.Term > 0 || last > 0 || s.mu.start.Index > 0 {
		return err
	}
	s.hard = wal.Hard{Term: 1}
	if err := s.stable.SetHard(s.hard); err != nil {
		return err
	}
	return s.log.Append(&wal.Entry{Index: 1, Term: 1, Type: wal.Configuration, Data: []byte(wal.SoleMembers)})
}

// InitialState implements raft.Storage.
func (s *Storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	commit := s.mu.commit
	return &raftpb.HardState{Term: &s.hard.Term, Vote: &s.hard.Vote, Commit: &commit}, s.mu.members, nil
}

// ID returns this server's.
func (s *Storage) ID() uint64 { return s.id }

// Members returns the members as of what was applied last. They must not be changed.
func (s *Storage) Members() *raftpb.ConfState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.members
}

func (s *Storage) setMembers(m *raftpb.ConfState, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.members, s.mu.changed = m, index
}

// Changed returns the index of the newest change of members that was applied, or where the state
// ends that was loaded or installed since: an older checkpoint has other members than there are.
func (s *Storage) Changed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.changed
}

// aloneLocked reports whether this server is the only one of its store, and has been from the
// beginning: a server with others has an id of its own.
func (s *Storage) aloneLocked() bool {
	m := s.mu.members
	return s.id == wal.SoleID && len(m.Voters) == 1 && m.Voters[0] == s.id && len(m.Learners)+len(m.VotersOutgoing)+len(m.LearnersNext) == 0
}

// soleVoter reports whether the store has one voter. There may be learners.
func (s *Storage) soleVoter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.members.Voters) == 1 && len(s.mu.members.VotersOutgoing) == 0
}

// whole reports whether the log begins with its first entry.
func (s *Storage) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.floor.Index == 0
}

// ends returns the entries at the ends of the log.
func (s *Storage) ends() (floor, last Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.floor, s.mu.last
}

// FirstIndex implements raft.Storage.
func (s *Storage) FirstIndex() (uint64, error) {
	floor, _ := s.ends()
	return floor.Index + 1, nil
}

// LastIndex implements raft.Storage.
func (s *Storage) LastIndex() (uint64, error) {
	_, last := s.ends()
	return last.Index, nil
}

// Term implements raft.Storage.
func (s *Storage) Term(index uint64) (uint64, error) {
	floor, last := s.ends()
	switch {
	case index == last.Index:
		return last.Term, nil
	case index == floor.Index:
		return floor.Term, nil
	case index < floor.Index:
		return 0, raft.ErrCompacted
	case index > last.Index:
		return 0, raft.ErrUnavailable
	}
	e, err := s.entry(index)
	return e.GetTerm(), err
}

// Entries implements raft.Storage.
func (s *Storage) Entries(lo, hi, size uint64) (found []*raftpb.Entry, err error) {
	floor, last := s.ends()
	if lo <= floor.Index {
		return nil, raft.ErrCompacted
	}
	if hi > last.Index+1 {
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

// entryCost is about what the encoding of an entry takes beside its data, in bytes.
const entryCost = 16

// entry returns an entry, from memory if it is there.
func (s *Storage) entry(index uint64) (*raftpb.Entry, error) {
	if e := s.inMemory(index); e != nil {
		return e, nil
	}
	return s.fetch(index)
}

// inMemory returns an entry that is in memory, nil if it is not.
func (s *Storage) inMemory(index uint64) *raftpb.Entry {
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

// fetch reads an entry from the log. It keeps the error: what Raft makes of one is a panic, unless
// the entry was compacted meanwhile.
func (s *Storage) fetch(index uint64) (*raftpb.Entry, error) {
	var e wal.Entry
	if err := s.log.Read(index, &e); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if index <= s.mu.floor.Index {
			return nil, raft.ErrCompacted
		}
		s.mu.err = err
		return nil, err
	}
	p := &raftpb.Entry{Index: &index, Term: &e.Term}
	switch e.Type {
	case wal.Command:
		p.Data = e.Data
	case wal.Members:
		p.Type, p.Data = raftpb.EntryConfChangeV2.Enum(), e.Data
	}
	return p, nil
}

// failed returns the error of a read.
func (s *Storage) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err
}

// Snapshot implements raft.Storage.
func (s *Storage) Snapshot() (*raftpb.Snapshot, error) { return s.snapshot() }
