package kv

import (
	"strings"

	"github.com/tidwall/btree"
)

// A deadline is a log time at which the key of a slot ends. Deadlines are
// ordered by time, then by key, so that every node expires in the same order
// however it came by its state.
type deadline struct {
	at   int64
	slot *slot
}

// due reports whether a key with the given deadline is to be deleted. At the
// deadline itself it is not: log time is cut to whole milliseconds, so that two
// entries whose times differ by n are only known to be more than n-1 apart.
func (m *machine) due(at int64) bool { return at < m.time }

func newDeadlines() *btree.BTreeG[deadline] {
	less := func(a, b deadline) bool {
		return a.at < b.at || a.at == b.at && a.slot.key() < b.slot.key()
	}
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: indexDegree})
}

// nextDue returns the earliest log time at which something is due.
func (m *machine) nextDue() (int64, bool) {
	d, ok := m.deadlines.Min()
	l := m.leases.earliest()
	switch {
	case l != nil && (!ok || l.deadline < d.at):
		return l.deadline + 1, true
	case ok:
		return d.at + 1, true
	}
	return 0, false
}

// expireLocked ends what is due, in order of time: each key in a revision of its
// own, and each lease with all its keys in one. It continues until ExpireMax keys
// have been deleted, the last lease's included.
func (s *State) expireLocked() {
	m := &s.mu.machine
	for left := m.params.ExpireMax; left > 0; {
		d, ok := m.deadlines.Min()
		l := m.leases.earliest()
		switch {
		case l != nil && m.due(l.deadline) && (!ok || l.deadline < d.at):
			left -= max(1, len(l.keys))
			s.expireLeaseLocked(l)
		case ok && m.due(d.at):
			left--
			s.expireSlotLocked(d.slot)
		default:
			return
		}
	}
}

// expireTouchedLocked deletes those keys of a command that are due, which
// expireLocked may have left behind.
func (s *State) expireTouchedLocked(c *Command) {
	if at, ok := s.mu.nextDue(); !ok || at > s.mu.time {
		return
	}
	s.expireNamedLocked(c)
	for _, f := range c.Fences {
		s.expireKeyLocked(ReservedPrefix + f.Lock)
	}
	for i := range c.Checks {
		s.expireKeyLocked(c.Checks[i].Key)
	}
	for i := range c.Reads {
		s.expireKeyLocked(c.Reads[i].Key)
	}
	for i := range c.Parts {
		for j := range c.Parts[i].Checks {
			s.expireKeyLocked(c.Parts[i].Checks[j].Key)
		}
	}
	for ops := range c.branches() {
		for i := range ops {
			s.expireKeyLocked(ops[i].Key)
			s.expireNamedLeaseLocked(ops[i].Lease)
		}
	}
	if c.Prefix != nil {
		s.expirePrefixLocked(*c.Prefix)
	}
}

func (s *State) expirePrefixLocked(prefix string) {
	m := &s.mu.machine
	var due []*slot
	m.deadlines.Scan(func(d deadline) bool {
		if m.due(d.at) && strings.HasPrefix(d.slot.key(), prefix) {
			due = append(due, d.slot)
		}
		return m.due(d.at)
	})
	for _, sl := range due {
		s.expireSlotLocked(sl)
	}
	s.expirePrefixLeasesLocked(prefix)
}

func (s *State) expireKeyLocked(key string) {
	sl := s.slot(key)
	if sl == nil {
		return
	}
	e := sl.cur.Load()
	switch {
	case e.Deleted():
	case e.Deadline() != 0 && s.mu.due(e.Deadline()):
		s.expireSlotLocked(sl)
	case e.lease() != nil && s.mu.due(e.lease().deadline):
		s.expireLeaseLocked(e.lease())
	}
}

func (s *State) expireSlotLocked(sl *slot) {
	m := &s.mu.machine
	first := len(m.events)
	m.ordinal = 0
	s.deleteLocked(sl, kindExpired)
	s.closeRevisionLocked(first)
}
