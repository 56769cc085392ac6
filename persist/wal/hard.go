package wal

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Names of what a stable store keeps of Raft. They are those of earlier releases, which open
// what this one has written.
const (
	keyTerm     = "CurrentTerm"
	keyVoteTerm = "LastVoteTerm"
	keyVoteFor  = "LastVoteCand"
)

const (
	// SoleID is the Raft id of a server that is the only one of its store.
	SoleID = 1
	// SoleName is what earlier releases called that server.
	SoleName = "keywatch-1"
	// SoleMembers is how they wrote that the store has one server: in the first entry of a
	// log, and in checkpoints. They open a folder that has it.
	SoleMembers = "\x81\xa7Servers\x91\x83\xa7Address\xaa" + SoleName + "\xa2ID\xaa" + SoleName + "\xa8Suffrage\x00"
)

// A Hard is what Raft must never forget: its term, and which server this one has
// voted for in it; 0 for none.
type Hard struct{ Term, Vote uint64 }

// encode returns the keys to be set.
func (h Hard) encode() map[string][]byte {
	term := binary.BigEndian.AppendUint64(nil, h.Term)
	if h.Vote == 0 {
		return map[string][]byte{keyTerm: term}
	}
	name := fmt.Sprintf("%016x", h.Vote)
	if h.Vote == SoleID {
		name = SoleName
	}
	return map[string][]byte{keyTerm: term, keyVoteTerm: term, keyVoteFor: []byte(name)}
}

// decodeHard is the reverse of encode. voted tells whether there is a vote in any term.
func decodeHard(values map[string][]byte) (h Hard, voted bool, err error) {
	if h.Term, err = number(values, keyTerm); err != nil {
		return Hard{}, false, err
	}
	in, err := number(values, keyVoteTerm)
	if _, voted = values[keyVoteTerm]; err != nil || !voted || in != h.Term {
		return h, voted, err
	}
	name := string(values[keyVoteFor])
	if name == SoleName {
		h.Vote = SoleID
		return h, true, nil
	}
	if h.Vote, err = strconv.ParseUint(name, 16, 64); err != nil {
		return Hard{}, true, fmt.Errorf("the vote of term %d is for %q, which is no server", in, name)
	}
	return h, true, nil
}

// number returns a value that is a number; 0 if there is none.
func number(values map[string][]byte, key string) (uint64, error) {
	v, ok := values[key]
	if ok && len(v) != 8 {
		return 0, fmt.Errorf("the stable value of %s has %d bytes, want 8", key, len(v))
	}
	if !ok {
		return 0, nil
	}
	return binary.BigEndian.Uint64(v), nil
}

// Hard returns what SetHard has set; zeros if nothing was.
func (s *Stable) Hard() (Hard, error) {
	h, _, err := s.hard()
	return h, err
}

// Voted reports whether this server has ever voted.
func (s *Stable) Voted() bool {
	_, voted, _ := s.hard()
	return voted
}

func (s *Stable) hard() (Hard, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return decodeHard(s.mu.values)
}

// SetHard sets term and vote, durably and at once.
func (s *Stable) SetHard(h Hard) error { return s.change(h.encode()) }

// A MemStable keeps a Hard in memory, for a store that keeps nothing. It is not safe for
// concurrent use.
type MemStable struct{ now Hard }

// Hard returns what SetHard has set.
func (m *MemStable) Hard() (Hard, error) { return m.now, nil }

// SetHard sets term and vote.
func (m *MemStable) SetHard(h Hard) error {
	m.now = h
	return nil
}
