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
		return a.at < b.at || a.at == b.at && a.slot.key < b.slot.key
	}
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: indexDegree})
}

// expireLocked deletes what is due, each key in a revision of its own, at most
// ExpireMax keys.
func (s *State) expireLocked() {
	m := &s.mu.machine
	for range m.params.ExpireMax {
		d, ok := m.deadlines.Min()
		if !ok || !m.due(d.at) {
			return
		}
		s.expireSlotLocked(d.slot)
	}
}

// expireTouchedLocked deletes those keys of a command that are due, which
// expireLocked may have left behind.
func (s *State) expireTouchedLocked(c *Command) {
	m := &s.mu.machine
	if d, ok := m.deadlines.Min(); !ok || !m.due(d.at) {
		return
	}
	for _, f := range c.Fences {
		s.expireKeyLocked(ReservedPrefix + f.Lock)
	}
	for i := range c.Checks {
		s.expireKeyLocked(c.Checks[i].Key)
	}
	for i := range c.Ops {
		s.expireKeyLocked(c.Ops[i].Key)
	}
	for i := range c.Else {
		s.expireKeyLocked(c.Else[i].Key)
	}
	if c.Prefix != nil {
		s.expirePrefixLocked(*c.Prefix)
	}
}

func (s *State) expirePrefixLocked(prefix string) {
	m := &s.mu.machine
	var due []*slot
	m.deadlines.Scan(func(d deadline) bool {
		if m.due(d.at) && strings.HasPrefix(d.slot.key, prefix) {
			due = append(due, d.slot)
		}
		return m.due(d.at)
	})
	for _, sl := range due {
		s.expireSlotLocked(sl)
	}
}

func (s *State) expireKeyLocked(key string) {
	sl := s.slot(key)
	if sl == nil {
		return
	}
	e := sl.cur.Load()
	if !e.Deleted() && e.Deadline != 0 && s.mu.due(e.Deadline) {
		s.expireSlotLocked(sl)
	}
}

func (s *State) expireSlotLocked(sl *slot) {
	m := &s.mu.machine
	first := len(m.events)
	m.ordinal = 0
	s.deleteLocked(sl, kindExpired)
	s.closeRevisionLocked(first)
}
