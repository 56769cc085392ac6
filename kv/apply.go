package kv

import "strings"

// decideLocked runs one command: replay, fences, checks, then operations.
func (s *State) decideLocked(c *Command, r *Result, arena *[]OpResult) {
	m := &s.mu.machine
	if m.private.moved(c.Auth) {
		r.Outcome = AuthMoved // before a replay: it would show what the caller may not read any more
		return
	}
	if c.Idem.Key != "" && s.replayLocked(c, r) {
		return
	}
	s.expireTouchedLocked(c)
	if i, held := firstLost(c.Fences, s.currentLocked); i >= 0 && !faulty(unfenced) {
		r.Outcome, r.Failed, r.Current = FenceLost, i, held
	} else if c.Prefix != nil {
		s.deletePrefixLocked(*c.Prefix, r)
	} else if c.Lease != nil {
		s.leaseLocked(c.Lease, r)
	} else if c.Lock != nil {
		s.lockLocked(c.Lock, r)
	} else {
		s.batchLocked(c, r, arena)
	}
	if c.Idem.Key != "" {
		m.idem.keep(c.Idem, r, m, c.form() != plainForm)
	}
}

// batchLocked runs a command of checks and operations.
func (s *State) batchLocked(c *Command, r *Result, arena *[]OpResult) {
	i, found := firstFailed(c.Checks, s.currentLocked, s.Changed)
	if i >= 0 {
		r.Failed, r.Current = i, found
	}
	switch {
	case i >= 0 && !c.HasElse:
		r.Outcome = CheckFailed
	case s.staleLocked(c.Reads):
		*r = Result{Outcome: Stale}
	case i >= 0:
		r.Outcome = ElseRan
		s.branchLocked(c.Else, r, arena)
	case c.Parts != nil:
		r.Outcome = Committed
		s.partsLocked(c.Parts, r, arena)
	default:
		r.Outcome = Committed
		s.branchLocked(c.Ops, r, arena)
	}
}

// staleLocked reports whether one of reads does not hold any more.
func (s *State) staleLocked(reads []Read) bool {
	for i := range reads {
		var rev Rev
		if e := s.currentLocked(reads[i].Key); e != nil {
			rev = e.Mod
		}
		if rev != reads[i].Rev {
			return true
		}
	}
	return false
}

// currentLocked returns the newest version of key, published or not; nil if it
// is absent.
func (s *State) currentLocked(key string) *Entry {
	if sl := s.slot(key); sl != nil {
		if e := sl.cur.Load(); !e.Deleted() {
			return e
		}
	}
	return nil
}

// firstFailed returns the index of the first check that does not hold and what
// was found there, or -1.
func firstFailed(checks []Check, find func(string) *Entry, changed func(string, Rev) bool) (int, *Entry) {
	for i := range checks {
		k := &checks[i]
		e := find(k.Key)
		if k.Kind == CheckUnchanged && changed(k.Key, Rev(k.N)) || k.Kind != CheckUnchanged && !k.holds(e) {
			return i, e
		}
	}
	return -1, nil
}

// firstLost returns the index of the first fence that does not hold and who
// holds the lock now, or -1.
func firstLost(fences []Fence, find func(string) *Entry) (int, *Entry) {
	for i, f := range fences {
		if e := find(ReservedPrefix + f.Lock); e == nil || e.Create != f.Token {
			return i, e
		}
	}
	return -1, nil
}

// holds reports whether the check, which is no CheckUnchanged, holds for e, which is nil if
// the key is absent.
func (k *Check) holds(e *Entry) bool {
	var have uint64
	switch k.Kind {
	case CheckExists:
		return (e != nil) == (k.N == 1)
	case CheckValue:
		return e != nil && e.equals(k.Value)
	case CheckValueNot:
		return e == nil || !e.equals(k.Value)
	case CheckRev:
		if e != nil {
			have = uint64(e.Mod)
		}
	case CheckCreate:
		if e != nil {
			have = uint64(e.Create)
		}
	case CheckVersion:
		if e != nil {
			have = e.Version
		}
	}
	return have == k.N
}

// branchLocked runs operations in one revision, unless one names a lease that it cannot
// have, or cannot be done.
func (s *State) branchLocked(ops []Op, r *Result, arena *[]OpResult) {
	if i, refused := s.mu.leases.refuse(ops, s); refused != 0 {
		*r = Result{Outcome: refused, Failed: i}
		return
	}
	if i, why := s.refuseSumsLocked(ops); why != 0 {
		*r = Result{Outcome: OpFailed, Failed: i, Why: why}
		return
	}
	m := &s.mu.machine
	m.first, m.ordinal = len(m.events), 0
	r.Ops = s.opsLocked(ops, arena)
	r.Rev = s.closeRevisionLocked(m.first)
}

// opsLocked runs operations in order, as part of the revision after m.rev.
func (s *State) opsLocked(ops []Op, arena *[]OpResult) []OpResult {
	start := len(*arena)
	for i := range ops {
		op := &ops[i]
		var did OpResult
		switch op.Kind {
		case OpPut:
			did.Entry = s.putLocked(op)
		case OpDelete:
			did.Entry = s.deleteLocked(s.slot(op.Key), kindDeleted)
		case OpGet:
			did.Entry = s.currentLocked(op.Key)
		case OpTouch:
			did.Entry, did.Why = s.touchLocked(op)
		default:
			did.Entry, did.Why = s.addLocked(op)
		}
		if op.Kind != OpGet && did.Entry != nil {
			s.mu.events[s.mu.first+int(did.Entry.ordinal)].Op = op.Kind
		}
		*arena = append(*arena, did)
	}
	return (*arena)[start:len(*arena):len(*arena)]
}

// closeRevisionLocked ends the revision that the events from first on belong
// to and returns it; 0 if there are none.
func (s *State) closeRevisionLocked(first int) Rev {
	m := &s.mu.machine
	if len(m.events) == first {
		return 0
	}
	if m.again && m.settle(first) == 0 {
		m.silent = true // all that was written is gone again
		m.rev++
		return m.rev
	}
	s.handOverLocked()
	m.events[len(m.events)-1].Last = true
	m.rev++
	return m.rev
}

// putLocked writes op as part of the revision after m.rev.
func (s *State) putLocked(op *Op) *Entry {
	e := copyEntry(op.Value)
	if faultyAt(emptied, s.mu.rev+1) {
		e = copyEntry(nil)
	}
	e.end = s.endLocked(op)
	return s.writeLocked(op.Key, e, op.TTL == KeepTTL, op.KeepLease)
}

// writeLocked makes e the newest version of key as part of the revision after m.rev. It
// keeps the deadline and the lease of the version before if it is told to.
func (s *State) writeLocked(key string, e *Entry, keepTTL, keepLease bool) *Entry {
	m := &s.mu.machine
	e.Mod, e.Create, e.Version, e.ordinal = m.rev+1, m.rev+1, 1, m.ordinal
	sl := s.slot(key)
	if sl == nil {
		s.insertLocked(key, e)
		return e
	}
	old := sl.cur.Load()
	if !old.Deleted() {
		e.Create, e.Version = old.Create, old.Version+1
		deadline, l := e.Deadline(), e.lease()
		if keepTTL {
			deadline = old.Deadline()
		}
		if keepLease {
			l = old.lease()
		}
		if keepTTL || keepLease {
			e.end = newEnd(deadline, l)
		}
	}
	m.rewrite(e, old)
	s.installLocked(sl, e)
	if old.Deleted() {
		m.tombs.replaced()
	}
	return e
}

// endLocked returns what is to end the key that op puts; a deadline to keep is
// left to the caller.
func (s *State) endLocked(op *Op) *end {
	m := &s.mu.machine
	var at int64
	if op.TTL > 0 {
		at = m.time + op.TTL.Milliseconds()
		if faulty(belated) {
			at += belatedBy
		}
	} else {
		at = op.At
	}
	var l *lease
	if op.Lease != (LeaseID{}) {
		l = m.leases.byID[op.Lease]
	}
	return newEnd(at, l)
}

// deleteLocked makes a tombstone in sl as part of the revision after m.rev. It
// returns nil if there is nothing to delete.
func (s *State) deleteLocked(sl *slot, cause entryKind) *Entry {
	if sl == nil {
		return nil
	}
	old := sl.cur.Load()
	if old.Deleted() {
		return nil
	}
	m := &s.mu.machine
	e := &Entry{
		Mod: m.rev + 1, Create: old.Create, Version: old.Version + 1,
		end: newEnd(m.time, nil), ordinal: m.ordinal, kind: cause,
	}
	m.rewrite(e, old)
	s.installLocked(sl, e)
	m.tombs.push(sl, e)
	return e
}

// installLocked makes e the newest version in sl and notes all that follows
// from it: the link back, the event, the deadline, the dirty mark and the sums.
func (s *State) installLocked(sl *slot, e *Entry) {
	m := &s.mu.machine
	old := sl.cur.Load()
	if old != nil {
		prev := old
		if old.Mod > Rev(s.visible.Load()) {
			prev = old.prev.Load() // no reader has seen old, and none will
		} else {
			m.linked = append(m.linked, sl)
		}
		e.prev.Store(prev)
		if !old.Deleted() {
			m.keys--
			m.bytes -= int64(len(sl.key()) + old.Size())
			m.keyBytes -= int64(len(sl.key()))
			if old.Deadline() != 0 {
				m.deadlines.Delete(deadline{old.Deadline(), sl})
			}
			m.leases.detach(old.lease(), sl)
		}
	}
	if !e.Deleted() {
		m.leases.attach(e.lease(), sl)
		m.keys++
		m.bytes += int64(len(sl.key()) + e.size)
		m.keyBytes += int64(len(sl.key()))
		if e.Deadline() != 0 {
			m.deadlines.Set(deadline{e.Deadline(), sl})
		}
	}
	s.digestLocked(sl.key(), old, e)
	s.replaceLocked(sl, e)
	m.dirty.add(sl, e.size)
	m.tell(sl, old, e)
	if strings.HasPrefix(sl.key(), ReservedPrefix) {
		m.locks.changed(sl, old)
	}
}

// deletePrefixLocked deletes every key under prefix, lock keys excepted, in one
// revision.
func (s *State) deletePrefixLocked(prefix string, r *Result) {
	m := &s.mu.machine
	var found []*slot
	m.under(prefix, func(sl *slot) bool {
		if !sl.cur.Load().Deleted() {
			found = append(found, sl)
		}
		return len(found) <= m.params.DeleteMax
	})
	if len(found) > m.params.DeleteMax {
		r.Outcome = TooMany
		return
	}
	r.Outcome = Committed
	r.Rev = s.deleteAllLocked(found, kindDeleted)
	r.Deleted = len(found)
}

// reservedEnd comes after all keys under ReservedPrefix, and before all other keys after
// those.
const reservedEnd = "locks0"

// under calls yield for the slots under prefix, in order of key, until it returns false;
// those of locks are skipped, however many there are.
func (m *machine) under(prefix string, yield func(*slot) bool) {
	from, again := prefix, true
	for again {
		again = false
		m.order.from(from, func(sl *slot) bool {
			key := sl.key()
			if again = strings.HasPrefix(key, ReservedPrefix); again {
				from = reservedEnd
			}
			return !again && strings.HasPrefix(key, prefix) && yield(sl)
		})
	}
}

// deleteAllLocked deletes the keys of slots in one revision and returns it; 0
// if there was nothing to delete.
func (s *State) deleteAllLocked(slots []*slot, cause entryKind) Rev {
	m := &s.mu.machine
	first := len(m.events)
	m.ordinal = 0
	for _, sl := range slots {
		s.deleteLocked(sl, cause)
	}
	return s.closeRevisionLocked(first)
}
