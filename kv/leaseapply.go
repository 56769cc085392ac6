package kv

import "strings"

// leaseLocked runs a command about a lease.
func (s *State) leaseLocked(c *LeaseCommand, r *Result) {
	m := &s.mu.machine
	l := m.leases.byID[c.ID]
	switch {
	case c.Kind == LeaseGrant:
		s.grantLocked(c, r)
	case l == nil:
		r.Outcome = LeaseEnded
	case c.Kind == LeaseKeep:
		s.renewLocked(l, r)
	default:
		r.Outcome = Committed
		r.Rev, r.Deleted = s.endLeaseLocked(l, "")
	}
}

func (s *State) grantLocked(c *LeaseCommand, r *Result) {
	m := &s.mu.machine
	if r.Outcome = m.leases.full(c.Caller, &m.params); r.Outcome != 0 {
		return
	}
	if m.leases.byID[c.ID] != nil {
		r.Outcome = LeaseFull // no name is drawn twice
		return
	}
	l := &lease{id: c.ID, caller: strings.Clone(c.Caller), ttl: c.TTL.Milliseconds()}
	s.beginLeaseLocked(l)
	r.Outcome, r.Lease = Committed, s.leaseInfoLocked(l)
}

func (s *State) beginLeaseLocked(l *lease) {
	m := &s.mu.machine
	l.deadline = m.time + l.ttl
	m.leases.add(l)
	m.leases.granted++
}

// renewLocked has l live for its TTL from now.
func (s *State) renewLocked(l *lease, r *Result) {
	m := &s.mu.machine
	if !faulty(unrenewed) {
		m.leases.move(l, m.time+l.ttl)
	}
	r.Outcome, r.Lease = Committed, s.leaseInfoLocked(l)
}

// endLeaseLocked ends l and deletes its keys in one revision, which it returns
// with their number; 0 if there were none. The key given up, if any, was deleted;
// of the others the lease is the cause.
func (s *State) endLeaseLocked(l *lease, givenUp string) (Rev, int) {
	m := &s.mu.machine
	first, slots := len(m.events), l.sorted()
	m.ordinal = 0
	for _, sl := range slots {
		cause := kindLease
		if sl.key() == givenUp {
			cause = kindDeleted
		}
		s.deleteLocked(sl, cause)
	}
	m.leases.remove(l)
	m.locks.unpark(l)
	return s.closeRevisionLocked(first), len(slots)
}

func (s *State) expireLeaseLocked(l *lease) {
	s.mu.leases.expired++
	s.endLeaseLocked(l, "")
}

// expireNamedLocked ends the leases that a command names as such, if they are
// due.
func (s *State) expireNamedLocked(c *Command) {
	if c.Lease != nil {
		s.expireNamedLeaseLocked(c.Lease.ID)
	}
	if c.Lock != nil {
		s.expireKeyLocked(LockKey(c.Lock.Name))
		s.expireNamedLeaseLocked(c.Lock.ID)
	}
}

func (s *State) expireNamedLeaseLocked(id LeaseID) {
	if l := s.mu.leases.byID[id]; l != nil && s.mu.due(l.deadline) {
		s.expireLeaseLocked(l)
	}
}

// expirePrefixLeasesLocked ends the leases that are due and have a key under
// prefix, in order of time.
func (s *State) expirePrefixLeasesLocked(prefix string) {
	for _, l := range s.mu.leases.dueUnder(prefix, &s.mu.machine) {
		s.expireLeaseLocked(l)
	}
}

// leaseInfoLocked returns what l is now.
func (s *State) leaseInfoLocked(l *lease) *LeaseInfo {
	i := &LeaseInfo{ID: l.id, TTL: l.ttl, Deadline: l.deadline, Keys: len(l.keys), Waiting: l.hold != 0}
	if l.lock != "" && !i.Waiting {
		if e := s.currentLocked(LockKey(l.lock)); e != nil && e.lease() == l {
			i.Token = e.Create
		}
	}
	return i
}

// Lease returns what a lease is; false if it does not exist or has ended.
func (s *State) Lease(id LeaseID) (LeaseInfo, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.mu.leases.byID[id]
	if l == nil {
		return LeaseInfo{}, false
	}
	return *s.leaseInfoLocked(l), true
}

// Parked returns a channel that is closed once the lease does not wait for a lock
// any more, or the state was replaced: State.Lease then tells whether it holds it, or has ended.
func (s *State) Parked(id LeaseID) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.mu.leases.byID[id]
	if l == nil || l.hold == 0 || s.mu.left {
		over := make(chan struct{})
		close(over)
		return over
	}
	if l.parked == nil {
		l.parked = make(chan struct{})
	}
	return l.parked
}

// LeaseOwner returns for whom a lease counts; false if it does not exist or has ended.
func (s *State) LeaseOwner(id LeaseID) (caller string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.mu.leases.byID[id]
	if l == nil {
		return "", false
	}
	return l.caller, true
}
