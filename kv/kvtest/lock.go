package kvtest

import (
	"fmt"
	"slices"
	"strings"

	"keywatch/kv"
)

func (m *Model) runLock(c *kv.LockCommand) (r Result) {
	key := kv.LockKey(c.Name)
	holder := m.Get(key)
	held := holder != nil && holder.Lease != kv.LeaseID{}
	switch {
	case c.Kind == kv.LockAcquire:
		return m.acquire(c, holder)
	case c.Kind == kv.LockGiveUp:
		return m.giveUp(c, holder)
	case c.Kind == kv.LockBreak && !held:
		return Result{Outcome: kv.LockFree}
	case c.Kind != kv.LockBreak && (!held || holder.Create != c.Token):
		return Result{Outcome: kv.LockLost, Current: holder}
	case c.Kind == kv.LockKeep:
		m.renew(holder.Lease)
		return Result{Outcome: kv.Committed, Lease: m.info(holder.Lease)}
	}
	r.Outcome = kv.Committed
	r.Rev, r.Deleted = m.end(holder.Lease, key)
	return r
}

func (m *Model) acquire(c *kv.LockCommand, holder *Item) (r Result) {
	if holder != nil && c.WaitTTL == 0 {
		return Result{Outcome: kv.LockHeld, Current: holder}
	}
	if why := m.full(c.ID, c.Caller); why != 0 {
		return Result{Outcome: why}
	}
	m.leases[c.ID] = modelLease{
		id: c.ID, caller: c.Caller, lock: c.Name, owner: c.Owner, ttl: millis(c.WaitTTL), hold: millis(c.TTL),
	}
	m.renew(c.ID)
	if holder == nil {
		r.Outcome = kv.Committed
		r.Rev = m.revision(func() { m.hold(c.ID) })
	} else {
		r.Outcome, r.Current = kv.LockQueued, holder
		place := fmt.Sprintf("%s%020d", kv.QueuePrefix(c.Name), m.Rev+1)
		r.Rev = m.revision(func() { m.put(kv.Op{Key: place, Value: []byte(c.Owner), Lease: c.ID}) })
	}
	r.Lease = m.info(c.ID)
	return r
}

// hold makes a lease the holder of its lock.
func (m *Model) hold(id kv.LeaseID) {
	l := m.leases[id]
	m.put(kv.Op{Key: kv.LockKey(l.lock), Value: []byte(l.owner), Lease: id})
	l.ttl, l.hold = l.hold, 0
	m.leases[id] = l
	m.renew(id)
}

func (m *Model) giveUp(c *kv.LockCommand, holder *Item) (r Result) {
	l, ok := m.leases[c.ID]
	switch {
	case !ok || l.lock != c.Name:
		return Result{Outcome: kv.LockLost}
	case l.hold == 0:
		return m.standing(c.ID)
	}
	r.Outcome, r.Current = kv.LockHeld, holder
	r.Rev, r.Deleted = m.end(c.ID, m.place(c.ID))
	return r
}

// place returns the key of a lease's place in a queue.
func (m *Model) place(id kv.LeaseID) string {
	keys := m.hanging(id)
	i := slices.IndexFunc(keys, func(key string) bool { return strings.Contains(key, "/queue/") })
	return keys[i]
}

// standing says what a request for a lock has.
func (m *Model) standing(id kv.LeaseID) Result {
	info, l := m.info(id), m.leases[id]
	switch {
	case l.hold != 0:
		return Result{Outcome: kv.LockQueued, Lease: info, Current: m.Get(kv.LockKey(l.lock))}
	case info.Token != 0:
		return Result{Outcome: kv.Committed, Lease: info}
	}
	return Result{Outcome: kv.LockLost}
}

// acquireAgain answers a request for a lock that was made before.
func (m *Model) acquireAgain(id kv.LeaseID) (r Result) {
	m.expireLease(id)
	r.Outcome = kv.LockLost
	if _, ok := m.leases[id]; ok {
		m.renew(id)
		r = m.standing(id)
	}
	r.Replayed = true
	return r
}

// handOver gives the locks whose holders are among events to the next in line.
func (m *Model) handOver(events []Event) {
	for _, ev := range events {
		name, isLock := strings.CutPrefix(ev.Key, kv.ReservedPrefix)
		if !isLock || ev.Cause == "" || !kv.LockName(name) || m.Get(ev.Key) != nil {
			continue
		}
		for _, place := range m.Queue(name) {
			l, ok := m.leases[m.Get(place).Lease]
			if ok && l.hold != 0 && l.deadline >= m.Time {
				m.remove(place, "deleted")
				m.hold(l.id)
				break
			}
		}
	}
}
