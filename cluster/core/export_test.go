package core

import (
	"go.etcd.io/raft/v3/raftpb"

	"keywatch/persist/wal"
)

// Append appends entries as a Core has it done.
func (s *Storage) Append(entries ...*raftpb.Entry) error { return s.Write(Write{Entries: entries}) }

// InMemory returns how many entries are in memory.
func (s *Storage) InMemory() int {
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
