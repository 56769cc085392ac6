package kv

// A lockTable knows who waits for which lock, in order of arrival. It follows
// from the keys under ReservedPrefix alone, so that a state loaded from a
// checkpoint has the same.
type lockTable struct {
	queues map[string]*lockQueue
	most   int // what fit notes of queues
	// held counts the locks that are held, waiting the places in all queues.
	held, waiting int
	// granted and woken count since this process began.
	granted, woken uint64
	// released names the locks whose holder the revision at hand has deleted;
	// wakes are the channels to close once it is published.
	released []string
	wakes    []chan struct{}
}

// A lockQueue is the places in the queue of one lock, those that are gone
// included until they are the larger part.
type lockQueue struct {
	places []*slot
	live   int
}

func newLockTable() lockTable { return lockTable{queues: make(map[string]*lockQueue)} }

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
		t.pop(name)
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
	q.places = append(q.places, sl)
	q.live++
	t.waiting++
}

// pop notes that a place is gone.
func (t *lockTable) pop(name string) {
	q := t.queues[name]
	if q == nil {
		return
	}
	q.live--
	t.waiting--
	for len(q.places) > 0 && q.places[0].cur.Load().Deleted() {
		q.places[0] = nil
		q.places = q.places[1:]
	}
	switch {
	case q.live == 0:
		delete(t.queues, name)
		t.queues = fit(t.queues, &t.most)
	case len(q.places) > 2*q.live+16:
		q.pack()
	}
}

func (q *lockQueue) pack() {
	kept := make([]*slot, 0, q.live)
	for _, sl := range q.places {
		if !sl.cur.Load().Deleted() {
			kept = append(kept, sl)
		}
	}
	q.places = kept
}

// next returns the lease of the first in the queue for a lock that lives, and its
// place; nil if there is none.
func (t *lockTable) next(name string, m *machine) (*slot, *lease) {
	q := t.queues[name]
	if q == nil {
		return nil, nil
	}
	for _, sl := range q.places {
		e := sl.cur.Load()
		if !e.Deleted() && e.lease() != nil && e.lease().hold != 0 && !m.due(e.lease().deadline) {
			return sl, e.lease()
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
