package kv_test

import (
	"pgregory.net/rapid"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// compareLeases holds leases, locks and queues against the model.
func (w *world) compareLeases(t *rapid.T, s *machine) {
	stats, live := s.Stats(), w.model.Leases()
	same(t, "leases", stats.Leases, len(live))
	for _, id := range live {
		info, ok := s.Lease(id)
		same(t, "lease "+id.String(), ok, true)
		same(t, "lease "+id.String(), info, w.model.Lease(id))
	}
	held, waiting := 0, 0
	for _, name := range []string{"l", "m"} {
		i := s.Lock(name, 100)
		if i.Holder != nil {
			held++
			i.Holder = s.resolve(t, kv.LockKey(name), i.Holder)
		}
		same(t, "holder of "+name, kvtest.ItemOf(kv.LockKey(name), i.Holder), w.model.Get(kv.LockKey(name)))
		var queue []string
		for _, p := range i.Queue {
			queue = append(queue, p.Key)
		}
		same(t, "queue for "+name, queue, w.model.Queue(name))
		same(t, "waiting for "+name, i.Waiting, len(queue))
		waiting += len(queue)
	}
	same(t, "locks held", stats.Locks, held)
	same(t, "places", stats.LockWaiters, waiting)
}
