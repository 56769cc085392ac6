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
		if !ok || d.at > m.time {
			return
		}
		s.expireSlotLocked(d.slot)
	}
}

// expireTouchedLocked deletes those keys of a command that are due, which
// expireLocked may have left behind.
func (s *State) expireTouchedLocked(c *Command) {
	m := &s.mu.machine
	if d, ok := m.deadlines.Min(); !ok || d.at > m.time {
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
		if d.at <= m.time && strings.HasPrefix(d.slot.key, prefix) {
			due = append(due, d.slot)
		}
		return d.at <= m.time
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
	if !e.Deleted() && e.Deadline != 0 && e.Deadline <= s.mu.time {
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
