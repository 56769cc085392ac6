package kv

import "strings"

// lockLocked runs a command about a lock.
func (s *State) lockLocked(c *LockCommand, r *Result) {
	holder := s.currentLocked(LockKey(c.Name))
	held := holder != nil && holder.lease() != nil
	switch {
	case c.Kind == LockAcquire:
		s.acquireLocked(c, r)
	case c.Kind == LockGiveUp:
		s.giveUpLocked(c, r)
	case c.Kind == LockBreak && !held:
		r.Outcome = LockFree
	case c.Kind != LockBreak && (!held || holder.Create != c.Token):
		r.Outcome, r.Current = LockLost, holder
	case c.Kind == LockKeep:
		s.renewLocked(holder.lease(), r)
	default:
		r.Outcome = Committed
		r.Rev, r.Deleted = s.endLeaseLocked(holder.lease(), LockKey(c.Name))
	}
}

// acquireLocked gives the lock to a new lease, or a place in the queue.
func (s *State) acquireLocked(c *LockCommand, r *Result) {
	m := &s.mu.machine
	holder := s.currentLocked(LockKey(c.Name))
	if holder != nil && c.WaitTTL == 0 {
		r.Outcome, r.Current = LockHeld, holder
		return
	}
	if r.Outcome = m.leases.full(c.Caller, &m.params); r.Outcome != 0 {
		return
	}
	if m.leases.byID[c.ID] != nil {
		r.Outcome = LeaseFull // no name is drawn twice
		return
	}
	l := &lease{
		id: c.ID, caller: strings.Clone(c.Caller), ttl: c.WaitTTL.Milliseconds(),
		lock: strings.Clone(c.Name), owner: strings.Clone(c.Owner), hold: c.TTL.Milliseconds(),
	}
	s.beginLeaseLocked(l)
	first := len(m.events)
	m.ordinal = 0
	if holder == nil {
		r.Outcome = Committed
		s.holdLocked(l)
	} else {
		r.Outcome, r.Current = LockQueued, holder
		s.putLocked(&Op{Key: queueKey(l.lock, m.rev+1), Value: []byte(l.owner), Lease: l.id})
	}
	r.Rev = s.closeRevisionLocked(first)
	r.Lease = s.leaseInfoLocked(l)
}

// holdLocked makes l the holder of its lock, which is free, as part of the
// revision after m.rev.
func (s *State) holdLocked(l *lease) {
	m := &s.mu.machine
	s.putLocked(&Op{Key: LockKey(l.lock), Value: []byte(l.owner), Lease: l.id})
	m.leases.changing(l)
	l.ttl, l.hold = l.hold, 0
	m.leases.move(l, m.time+l.ttl)
	m.locks.granted++
	if l.parked != nil {
		m.locks.woken++
	}
	m.locks.unpark(l)
}

// giveUpLocked ends the wait of a lease, unless it has the lock by now.
func (s *State) giveUpLocked(c *LockCommand, r *Result) {
	l := s.mu.leases.byID[c.ID]
	switch {
	case l == nil || l.lock != c.Name:
		r.Outcome = LockLost
	case l.hold == 0:
		s.standingLocked(l, r)
	default:
		r.Outcome, r.Current = LockHeld, s.currentLocked(LockKey(c.Name))
		place := ""
		for sl := range l.keys {
			if strings.HasPrefix(sl.key(), QueuePrefix(c.Name)) {
				place = sl.key()
			}
		}
		r.Rev, r.Deleted = s.endLeaseLocked(l, place)
	}
}

// standingLocked answers a request whose lease is l: it waits, or holds the lock,
// or has lost it.
func (s *State) standingLocked(l *lease, r *Result) {
	r.Lease = s.leaseInfoLocked(l)
	switch {
	case l.hold != 0:
		r.Outcome, r.Current = LockQueued, s.currentLocked(LockKey(l.lock))
	case r.Lease.Token != 0:
		r.Outcome = Committed
	default:
		r.Outcome, r.Lease = LockLost, nil
	}
}

// replayAcquireLocked answers a request for a lock that was made before, as r
// says: the lease that it began takes up its place or its lock again, and is
// renewed, or has lost it.
func (s *State) replayAcquireLocked(r *Result) {
	s.expireNamedLeaseLocked(r.Lease.ID)
	l := s.mu.leases.byID[r.Lease.ID]
	if l == nil {
		*r = Result{Outcome: LockLost}
		return
	}
	s.mu.leases.move(l, s.mu.time+l.ttl)
	*r = Result{}
	s.standingLocked(l, r)
}

// handOverLocked gives the locks whose holder this revision has deleted to the
// next in their queues, in the same revision.
func (s *State) handOverLocked() {
	m := &s.mu.machine
	for _, name := range m.locks.released {
		if s.currentLocked(LockKey(name)) != nil {
			continue
		}
		if place, l := m.locks.next(name, m); l != nil {
			s.deleteLocked(place, kindDeleted)
			s.holdLocked(l)
		}
	}
	clear(m.locks.released)
	m.locks.released = m.locks.released[:0]
}

// A LockInfo is what a lock is at one moment.
type LockInfo struct {
	// Holder is the version of the holder's key, nil if the lock is free;
	// Owner is what its value says, and Lease its lease.
	Holder *Entry
	Owner  string
	Lease  LeaseInfo
	// Queue are the first of those who wait, in order, and Waiting is how many
	// there are in all.
	Queue   []LockPlace
	Waiting int
	// At is the position that this was read at.
	At Position
}

// A LockPlace is one place in the queue for a lock.
type LockPlace struct {
	Key   string
	Owner string
	// Since is the revision at which the wait began.
	Since Rev
}

// Lock returns what a lock is, with the first most places of its queue.
func (s *State) Lock(name string, most int) LockInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu.machine
	i := LockInfo{Holder: s.currentLocked(LockKey(name)), At: Position{Epoch(s.epoch.Load()), m.rev}}
	if i.Holder != nil && i.Holder.lease() != nil {
		i.Owner, i.Lease = i.Holder.lease().owner, *s.leaseInfoLocked(i.Holder.lease())
	}
	q := m.locks.queues[name]
	if q == nil {
		return i
	}
	i.Waiting = q.n
	for p := q.first; p != nil && len(i.Queue) < most; p = p.behind {
		e := p.slot.cur.Load()
		if l := e.lease(); l != nil {
			i.Queue = append(i.Queue, LockPlace{Key: p.slot.key(), Owner: l.owner, Since: e.Create})
		}
	}
	return i
}
