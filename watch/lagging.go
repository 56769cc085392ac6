package watch

import (
	"sync"

	"keywatch/kv/heap"
)

// A lagging knows the mailboxes whose watchers are behind, and the one that is
// furthest, so that telling costs the same however many watchers there are. Its lock
// is acquired last, within that of a mailbox.
type lagging struct {
	mu struct {
		sync.Mutex
		letters heap.Heap[*letter]
	}
}

// A lag is a letter's place among those of watchers that are behind. It belongs to
// the holder of lagging's lock.
type lag struct {
	// seq is the number of the first event that the watcher has not looked at.
	seq uint64
	// place is the place in the heap, counted from 1; 0 is none.
	place int
}

func (g *lagging) init() {
	g.mu.letters = heap.New(
		func(a, b *letter) bool { return a.lag.seq < b.lag.seq },
		func(l *letter, at int) { l.lag.place = at + 1 },
	)
}

// note says that the watcher of l is behind, and looks at event seq next.
func (g *lagging) note(l *letter, seq uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.lag.seq = seq; l.lag.place == 0 {
		g.mu.letters.Push(l)
		return
	}
	g.mu.letters.Fix(l.lag.place - 1)
}

// forget says that the watcher of l is not behind any more, or has gone.
func (g *lagging) forget(l *letter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.lag.place > 0 {
		g.mu.letters.Remove(l.lag.place - 1)
	}
}

// behind returns how many watchers are behind, and how many of the events before next
// the furthest of them has not looked at.
func (g *lagging) behind(next uint64) (n int, most uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n = g.mu.letters.Len(); n > 0 {
		if seq := g.mu.letters.Min().lag.seq; seq < next {
			most = next - seq
		}
	}
	return n, most
}
