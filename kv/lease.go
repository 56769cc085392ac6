package kv

import (
	"cmp"
	"slices"
	"strings"

	"keywatch/kv/heap"
)

// A lease is a TTL that keys are attached to. All but id belongs to the holder of the
// apply lock.
type lease struct {
	id     LeaseID
	caller string
	// ttl is what a renewal gives, in milliseconds; deadline the log time after
	// which the lease ends.
	ttl, deadline int64
	keys          map[*slot]struct{}
	// lock names the lock that the lease holds or waits for, owner says for whom;
	// hold is the TTL that it will have as the holder, 0 once it is not waiting.
	lock, owner string
	hold        int64
	// parked, if not nil, is closed when the wait has ended.
	parked chan struct{}
	// at is the place in the heap of deadlines; pending counts keys of the command at
	// hand.
	at      int
	pending int32
	// copied is the number of the last checkpoint that has a copy of the lease, or that
	// it is too young for.
	copied uint32
}

// What a lease takes in memory, in bytes, as measured: leaseCost beside its texts,
// leaseKeysCost once it has had a key, and leaseKeyCost for each key.
const (
	leaseCost     = 200
	leaseKeysCost = 136
	leaseKeyCost  = 40
)

// cost returns what l takes in memory, in bytes.
func (l *lease) cost() int64 {
	n := leaseCost + len(l.caller) + len(l.lock) + len(l.owner)
	if l.keys != nil {
		n += leaseKeysCost + len(l.keys)*leaseKeyCost
	}
	return int64(n)
}

// attach notes that the key of sl is attached to l, which may be nil.
func (t *leaseTable) attach(l *lease, sl *slot) {
	if l == nil {
		return
	}
	t.bytes -= l.cost()
	if l.keys == nil {
		l.keys = make(map[*slot]struct{}, 1)
	}
	l.keys[sl] = struct{}{}
	t.bytes += l.cost()
}

// detach notes that the key of sl is not attached to l, which may be nil, any more.
func (t *leaseTable) detach(l *lease, sl *slot) {
	if l == nil {
		return
	}
	t.bytes -= l.cost()
	delete(l.keys, sl)
	t.bytes += l.cost()
}

// sorted returns the keys of l in order.
func (l *lease) sorted() []*slot {
	slots := make([]*slot, 0, len(l.keys))
	for sl := range l.keys {
		slots = append(slots, sl)
	}
	slices.SortFunc(slots, func(a, b *slot) int { return strings.Compare(a.key(), b.key()) })
	return slots
}

// A leaseEnd is a lease and its deadline, which is compared without a look at the lease.
type leaseEnd struct {
	deadline int64
	lease    *lease
}

// A leaseTable holds the leases that live. The heap always knows their deadlines: to have
// it learn of later ones only when the earlier ones come up would be half a microsecond
// cheaper a renewal, and would hold writers up for a tenth of a second whenever the last
// of 200,000 leases is renewed.
type leaseTable struct {
	byID    map[LeaseID]*lease
	callers map[string]int
	heap    heap.Heap[leaseEnd]
	// bytes is what all leases take in memory.
	bytes int64
	// granted and expired count leases since this process began.
	granted, expired uint64
	// changes counts what became of leases, saved what of it the last checkpoint
	// holds.
	changes, saved uint64
	// copying is the copy that the running checkpoint makes, nil if none does; copies
	// counts them.
	copying *leaseCopy
	copies  uint32
	// most is what fit notes of the maps.
	most struct{ byID, callers int }
}

func newLeaseTable() leaseTable {
	return leaseTable{
		byID: make(map[LeaseID]*lease), callers: make(map[string]int),
		heap: heap.New(leaseEnd.before, func(e leaseEnd, at int) { e.lease.at = at }),
	}
}

// before orders leases by deadline, and then by name.
func (e leaseEnd) before(other leaseEnd) bool {
	return e.deadline < other.deadline ||
		e.deadline == other.deadline && string(e.lease.id[:]) < string(other.lease.id[:])
}

func (t *leaseTable) add(l *lease) {
	t.changes++
	l.copied = t.copies
	t.byID[l.id] = l
	t.callers[l.caller]++
	t.bytes += l.cost()
	t.heap.Push(leaseEnd{l.deadline, l})
}

func (t *leaseTable) remove(l *lease) {
	t.changing(l)
	t.heap.Remove(l.at)
	delete(t.byID, l.id)
	t.byID = fit(t.byID, &t.most.byID)
	t.bytes -= l.cost()
	if t.callers[l.caller]--; t.callers[l.caller] == 0 {
		delete(t.callers, l.caller)
		t.callers = fit(t.callers, &t.most.callers)
	}
}

// move gives l another deadline.
func (t *leaseTable) move(l *lease, deadline int64) {
	t.changing(l)
	l.deadline = deadline
	t.heap.Replace(l.at, leaseEnd{deadline, l})
}

// earliest returns the lease that ends first, nil if there is none. Of those with
// the same deadline it is the one with the lowest name, so that every node ends
// them in the same order.
func (t *leaseTable) earliest() *lease {
	if t.heap.Len() == 0 {
		return nil
	}
	return t.heap.Min().lease
}

// full returns why caller cannot have another lease, 0 if it can.
func (t *leaseTable) full(caller string, p *Params) Outcome {
	switch {
	case len(t.byID) >= p.LeaseMax:
		return LeaseFull
	case t.callers[caller] >= p.LeasePerCaller:
		return LeaseCallerFull
	}
	return 0
}

// refuse returns the first operation that names a lease which has ended, or
// which would have too many keys, and why it is refused; 0 if none is.
func (t *leaseTable) refuse(ops []Op, s *State) (index int, why Outcome) {
	for i := range ops {
		if ops[i].Lease != (LeaseID{}) {
			return t.refuseNamed(ops, s)
		}
	}
	return 0, 0
}

func (t *leaseTable) refuseNamed(ops []Op, s *State) (index int, why Outcome) {
	var counted []*lease
	defer func() {
		for _, l := range counted {
			l.pending = 0
		}
	}()
	for i := range ops {
		if ops[i].Lease == (LeaseID{}) {
			continue
		}
		l := t.byID[ops[i].Lease]
		if l == nil {
			return i, LeaseEnded
		}
		if e := s.currentLocked(ops[i].Key); e == nil || e.lease() != l {
			l.pending++
			counted = append(counted, l)
		}
		if len(l.keys)+int(l.pending) > s.mu.params.LeaseKeys {
			return i, LeaseKeysFull
		}
	}
	return 0, 0
}

// dueUnder returns the leases that are due at m's time and have a key under
// prefix, the earliest first.
func (t *leaseTable) dueUnder(prefix string, m *machine) (due []*lease) {
	t.heap.Up(func(e leaseEnd) bool {
		if !m.due(e.deadline) {
			return false
		}
		if e.lease.hasKeyUnder(prefix) {
			due = append(due, e.lease)
		}
		return true
	})
	slices.SortFunc(due, func(a, b *lease) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), strings.Compare(string(a.id[:]), string(b.id[:])))
	})
	return due
}

func (l *lease) hasKeyUnder(prefix string) bool {
	for sl := range l.keys {
		if strings.HasPrefix(sl.key(), prefix) {
			return true
		}
	}
	return false
}
