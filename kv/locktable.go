package kv

// A lockTable knows who waits for which lock, in order of arrival. It follows
// from the keys under ReservedPrefix alone, so that a state loaded from a
// checkpoint has the same.
type lockTable struct {
	queues map[string]*lockQueue
	places map[*slot]*lockPlace
	// most is what fit notes of the maps.
	most struct{ queues, places int }
	// held counts the locks that are held, waiting the places in all queues.
	held, waiting int
	// granted and woken count since this process began.
	granted, woken uint64
	// released names the locks whose holder the revision at hand has deleted;
	// wakes are the channels to close once it is published.
	released []string
	wakes    []chan struct{}
}

// A lockQueue is the places in the queue of one lock. Whatever is done with it costs the
// same however long it is.
type lockQueue struct {
	first, last *lockPlace
	// next is the first place that was not yet found to be past its time. Such a lease ends
	// before it can be renewed, so that none before next ever gets the lock.
	next *lockPlace
	n    int
}

// A lockPlace is one place in a queue, of the key in slot, between its neighbours.
type lockPlace struct {
	slot          *slot
	ahead, behind *lockPlace
}

// placeCost is about what a place takes in memory beside its key and its lease, in bytes:
// itself, and its entry in the map.
const placeCost = 56

func newLockTable() lockTable {
	return lockTable{queues: make(map[string]*lockQueue), places: make(map[*slot]*lockPlace)}
}

// changed takes note of the newest version in sl, a key under ReservedPrefix;
// old, which may be nil, is the one before.
func (t *lockTable) changed(sl *slot, old *Entry) {
	name, waiting, ok := parseLockKey(sl.key())
	was, is := old != nil && !old.Deleted(), !sl.cur.Load().Deleted()
	if !ok || was == is {
		return
	}
	switch {
	case waiting && is:
		t.push(name, sl)
	case waiting:
		t.pop(name, sl)
	case is:
		t.held++
	default:
		t.held--
		t.released = append(t.released, name)
	}
}

// push adds a place, which comes after all there are.
func (t *lockTable) push(name string, sl *slot) {
	q := t.queues[name]
	if q == nil {
		q = &lockQueue{}
		t.queues[name] = q
	}
	p := &lockPlace{slot: sl, ahead: q.last}
	if q.last != nil {
		q.last.behind = p
	} else {
		q.first = p
	}
	q.last = p
	if q.next == nil {
		q.next = p
	}
	q.n++
	t.places[sl] = p
	t.waiting++
}

// pop removes a place that is gone.
func (t *lockTable) pop(name string, sl *slot) {
	q, p := t.queues[name], t.places[sl]
	if q == nil || p == nil {
		return
	}
	q.unlink(p)
	t.waiting--
	delete(t.places, sl)
	t.places = fit(t.places, &t.most.places)
	if q.n == 0 {
		delete(t.queues, name)
		t.queues = fit(t.queues, &t.most.queues)
	}
}

func (q *lockQueue) unlink(p *lockPlace) {
	if p.ahead != nil {
		p.ahead.behind = p.behind
	} else {
		q.first = p.behind
	}
	if p.behind != nil {
		p.behind.ahead = p.ahead
	} else {
		q.last = p.ahead
	}
	if q.next == p {
		q.next = p.behind
	}
	q.n--
}

// next returns the lease of the first in the queue for a lock that lives, and its
// place; nil if there is none.
func (t *lockTable) next(name string, m *machine) (*slot, *lease) {
	q := t.queues[name]
	if q == nil {
		return nil, nil
	}
	for ; q.next != nil; q.next = q.next.behind {
		sl := q.next.slot
		if l := sl.cur.Load().lease(); l != nil && l.hold != 0 && !m.due(l.deadline) {
			return sl, l
		}
	}
	return nil, nil
}

// unpark has the request that waits with l told, once the entry is published.
func (t *lockTable) unpark(l *lease) {
	if l.parked != nil {
		t.wakes = append(t.wakes, l.parked)
		l.parked = nil
	}
}

// wake tells those whose wait has ended.
func (t *lockTable) wake() {
	for _, c := range t.wakes {
		close(c)
	}
	clear(t.wakes)
	t.wakes = t.wakes[:0]
}
