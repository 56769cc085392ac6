package kvtest

import (
	"cmp"
	"slices"
	"strings"

	"keywatch/kv"
)

// A modelLease is a lease that lives. Its keys are those that name it.
type modelLease struct {
	id                  kv.LeaseID
	caller, lock, owner string
	// hold is the TTL to come while the lease waits for its lock, else 0.
	ttl, hold, deadline int64
}

// Leases returns the names of the leases that live, in order of when they end.
func (m *Model) Leases() (ids []kv.LeaseID) {
	for _, l := range m.byDeadline() {
		ids = append(ids, l.id)
	}
	return ids
}

// Lease returns what a lease that lives is.
func (m *Model) Lease(id kv.LeaseID) kv.LeaseInfo {
	l := m.leases[id]
	info := kv.LeaseInfo{ID: id, TTL: l.ttl, Deadline: l.deadline, Keys: len(m.hanging(id)), Waiting: l.hold != 0}
	if holder := m.Get(kv.LockKey(l.lock)); l.lock != "" && l.hold == 0 && holder != nil && holder.Lease == id {
		info.Token = holder.Create
	}
	return info
}

// Queue returns the keys of those who wait for a lock, in order of arrival.
func (m *Model) Queue(lock string) (keys []string) {
	for _, it := range m.Scan(kv.QueuePrefix(lock), "") {
		keys = append(keys, it.Key)
	}
	return keys
}

func (m *Model) byDeadline() (out []modelLease) {
	for _, l := range m.leases {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b modelLease) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), strings.Compare(string(a.id[:]), string(b.id[:])))
	})
	return out
}

// dueLeases returns the leases whose deadline has passed, the earliest first.
func (m *Model) dueLeases() []modelLease {
	return slices.DeleteFunc(m.byDeadline(), func(l modelLease) bool { return l.deadline >= m.Time })
}

// hanging returns the keys that are attached to a lease, in order.
func (m *Model) hanging(id kv.LeaseID) (keys []string) {
	for _, it := range m.where(func(it Item) bool { return it.Cause == "" && it.Lease == id }) {
		keys = append(keys, it.Key)
	}
	slices.Sort(keys)
	return keys
}

// end ends a lease; the key given up, if any, was deleted by request.
func (m *Model) end(id kv.LeaseID, givenUp string) (rev kv.Rev, deleted int) {
	keys := m.hanging(id)
	delete(m.leases, id)
	rev = m.revision(func() {
		for _, key := range keys {
			cause := "lease"
			if key == givenUp {
				cause = "deleted"
			}
			m.remove(key, cause)
		}
	})
	return rev, len(keys)
}

// expireLease ends a lease if it is due.
func (m *Model) expireLease(id kv.LeaseID) {
	if l, ok := m.leases[id]; ok && l.deadline < m.Time {
		m.end(id, "")
	}
}

// expireKey deletes a key that is due, on its own or with its lease.
func (m *Model) expireKey(key string) {
	if it := m.Get(key); m.ended(it) {
		m.expire(key)
	} else if it != nil && it.Lease != (kv.LeaseID{}) {
		m.expireLease(it.Lease)
	}
}

// expireDue ends what is due in order of time, within the bound of an entry.
func (m *Model) expireDue() {
	for left := m.Params.ExpireMax; left > 0; {
		keys, leases := m.due(""), m.dueLeases()
		switch {
		case len(leases) > 0 && (len(keys) == 0 || leases[0].deadline < m.Get(keys[0]).Deadline):
			left -= max(1, len(m.hanging(leases[0].id)))
			m.end(leases[0].id, "")
		case len(keys) > 0:
			left--
			m.expire(keys[0])
		default:
			return
		}
	}
}

// refuse returns the operation that names a lease which it cannot have, and why.
func (m *Model) refuse(ops []kv.Op) (int, kv.Outcome) {
	more := make(map[kv.LeaseID]int)
	for i, op := range ops {
		if op.Lease == (kv.LeaseID{}) {
			continue
		}
		if _, ok := m.leases[op.Lease]; !ok {
			return i, kv.LeaseEnded
		}
		if it := m.Get(op.Key); it == nil || it.Lease != op.Lease {
			more[op.Lease]++
		}
		if len(m.hanging(op.Lease))+more[op.Lease] > m.Params.LeaseKeys {
			return i, kv.LeaseKeysFull
		}
	}
	return 0, 0
}

func (m *Model) full(id kv.LeaseID, caller string) kv.Outcome {
	n := 0
	for _, l := range m.leases {
		if l.caller == caller {
			n++
		}
	}
	switch {
	case len(m.leases) >= m.Params.LeaseMax:
		return kv.LeaseFull
	case n >= m.Params.LeasePerCaller:
		return kv.LeaseCallerFull
	}
	if _, ok := m.leases[id]; ok {
		return kv.LeaseFull
	}
	return 0
}

func (m *Model) info(id kv.LeaseID) *kv.LeaseInfo {
	info := m.Lease(id)
	return &info
}

func (m *Model) renew(id kv.LeaseID) {
	l := m.leases[id]
	l.deadline = m.Time + l.ttl
	m.leases[id] = l
}

func (m *Model) runLease(c *kv.LeaseCommand) (r Result) {
	_, lives := m.leases[c.ID]
	switch {
	case c.Kind == kv.LeaseGrant:
		if why := m.full(c.ID, c.Caller); why != 0 {
			return Result{Outcome: why}
		}
		m.leases[c.ID] = modelLease{id: c.ID, caller: c.Caller, ttl: millis(c.TTL)}
		m.renew(c.ID)
	case !lives:
		return Result{Outcome: kv.LeaseEnded}
	case c.Kind == kv.LeaseKeep:
		m.renew(c.ID)
	default:
		r.Outcome = kv.Committed
		r.Rev, r.Deleted = m.end(c.ID, "")
		return r
	}
	return Result{Outcome: kv.Committed, Lease: m.info(c.ID)}
}
