package core

import (
	"encoding/binary"

	"go.etcd.io/raft/v3"
)

// ReadIndex asks for a Read with the id. It may be lost without a word.
func (c *Core) ReadIndex(id uint64) {
	defer c.catch()
	if faulty(staleRead) {
		c.reads = append(c.reads, Read{id, c.raw.BasicStatus().Applied})
		return
	}
	if !c.unsure() {
		c.raw.ReadIndex(binary.BigEndian.AppendUint64(nil, id))
	}
}

// unsure reports whether Raft would answer a read with too little: the only voter answers at once
// with what it knows to be committed, and after a start that may be less than what it has
// acknowledged before, until an entry of its own term is committed.
func (c *Core) unsure() bool {
	s := c.raw.BasicStatus()
	return s.RaftState == raft.StateLeader && c.committed < s.GetTerm() && c.store.soleVoter()
}
