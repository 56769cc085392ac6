package cluster

import (
	"math"
	"sync/atomic"
	"time"

	"keywatch/kv/wake"
)

// tickEvery is how often the time is logged while deadlines exist.
const tickEvery = time.Second

// A ticker knows the earliest deadline and wakes the goroutine that waits for
// it.
type ticker struct {
	// next is the earliest deadline in log time, MaxInt64 if there is none.
	next atomic.Int64
	// earlier says that next became earlier.
	earlier wake.Chan
}

func (t *ticker) init() {
	t.next.Store(math.MaxInt64)
	t.earlier = wake.New()
}

// note records the earliest deadline after an entry was applied.
func (t *ticker) note(at int64, any bool) {
	if !any {
		at = math.MaxInt64
	}
	if t.next.Swap(at) <= at {
		return
	}
	t.earlier.Wake()
}

// tick has the clock beat, and logs the time when the earliest deadline is due, and
// each second while there is one.
func (n *Node) tick() {
	timer := time.NewTimer(beatEvery)
	defer timer.Stop()
	logged := time.Now()
	for {
		timer.Reset(n.untilTick())
		select {
		case <-timer.C:
			n.beat()
			if now := time.Now(); n.tickDue(now.Sub(logged)) {
				logged = now
				n.queue.addTick()
			}
		case <-n.ticker.earlier:
		case <-n.stop:
			return
		}
	}
}

// tickDue reports whether the time is to be logged, which was done last so long ago.
func (n *Node) tickDue(ago time.Duration) bool {
	next := n.ticker.next.Load()
	if next == math.MaxInt64 || n.clock.Load() == nil || ago < tickEvery && n.Now() < next {
		return false
	}
	return n.room() == nil
}

// untilTick returns how long to wait for the next beat or tick; at least a
// millisecond, so that a tick on its way is not sent again and again.
func (n *Node) untilTick() time.Duration {
	next := n.ticker.next.Load()
	if c := n.clock.Load(); next == math.MaxInt64 || c == nil || c.still {
		return beatEvery
	}
	wait := time.Duration(next-n.Now()) * time.Millisecond
	return min(beatEvery, max(wait, time.Millisecond))
}
