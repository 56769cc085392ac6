package watch

import (
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/latency"
)

const (
	// stampEvery is how many revisions there are to one whose delivery is timed.
	stampEvery = 64
	// stamps is how many of those are remembered. What is delivered later than that is not
	// timed; stats of watches that are behind tell of it.
	stamps = 1024
)

// A stamp says when a revision was published, in the hub's time.
type stamp struct {
	at   kv.Position
	when int64
}

// deliveries knows how long events take from their publication until they are handed to those
// who watch. The zero value is ready. It has one publisher, and is otherwise safe for concurrent
// use.
type deliveries struct {
	stamps [stamps]atomic.Pointer[stamp]
	times  latency.Histogram
}

func (d *deliveries) slot(rev kv.Rev) *atomic.Pointer[stamp] {
	return &d.stamps[uint64(rev)/stampEvery%stamps]
}

// published notes the last revision among events, which end at a position, that is to be timed.
func (d *deliveries) published(events []kv.Event, at kv.Position, now func() int64) {
	if len(events) == 0 {
		return
	}
	rev := events[len(events)-1].Entry.Mod / stampEvery * stampEvery
	if rev >= events[0].Entry.Mod {
		d.slot(rev).Store(&stamp{kv.Position{Epoch: at.Epoch, Rev: rev}, now()})
	}
}

// delivered counts a revision that was handed to a watcher.
func (d *deliveries) delivered(at kv.Position, now func() int64) {
	if at.Rev%stampEvery != 0 {
		return
	}
	if s := d.slot(at.Rev).Load(); s != nil && s.at == at {
		d.times.Observe(time.Duration(now() - s.when))
	}
}

// DeliveryTimes returns how long events took from their publication until they were handed to
// those who watch: of one revision in 64, and of watches without an interval that are not behind.
func (h *Hub) DeliveryTimes() *latency.Snapshot { return h.deliveries.times.Snapshot() }
