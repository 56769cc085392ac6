package cluster

import (
	"go.etcd.io/raft/v3/raftpb"

	"keywatch/persist/wal"
)

// Storage is what Raft reads, for tests.
type Storage = storage

// OpenStorage opens it over the log and the stable store of o.
func OpenStorage(o Options) (*Storage, error) { return openStorage(&o) }

// Append appends entries as the writer does, Applied and Compact do what the loop and a
// checkpoint do.
func (s *storage) Append(entries ...*raftpb.Entry) error { return s.append(entries) }
func (s *storage) Applied(index uint64)                  { s.applied(index) }
func (s *storage) Compact(index, term uint64) error      { return s.compact(raftPoint{index, term}) }

// InMemory returns how many entries are in memory.
func (s *storage) InMemory() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.recent)
}

// Entry returns an entry of Raft with the data.
func Entry(index, term uint64, data string) *raftpb.Entry {
	e := &raftpb.Entry{Index: &index, Term: &term}
	if data != "" {
		e.Data = []byte(data)
	}
	return e
}

// Kept returns the entry of a log at an index.
func Kept(log Log, index uint64) wal.Entry {
	var e wal.Entry
	if err := log.Read(index, &e); err != nil {
		panic(err)
	}
	return e
}
