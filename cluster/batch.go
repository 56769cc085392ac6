package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/latency"
)

// A batch is one log entry in the making and those who wait for it.
type batch struct {
	builder kv.EntryBuilder
	size    int // of what builder has built, in bytes
	// sealed says that no command is added any more.
	sealed bool
	held   *atomic.Int64
	began  time.Time
	times  *latency.Histogram
	// traced are the commands whose requests are sampled, nil for none; taken is when the batch left
	// the queue, if there are any.
	traced []traced
	taken  time.Time
	// results and err are set before done is closed.
	results []kv.Result
	err     error
	done    chan struct{} // closed when the fate of the batch is known

	mu struct {
		sync.Mutex
		// wakers are woken once done is closed. told says that they were.
		wakers []kv.Waker
		told   bool
	}
}

// notify has w woken once the fate of b is known. Who calls it for commands one after the
// other is woken once for all of them.
func (b *batch) notify(w kv.Waker) {
	b.mu.Lock()
	told := b.mu.told
	if n := len(b.mu.wakers); !told && (n == 0 || b.mu.wakers[n-1] != w) {
		b.mu.wakers = append(b.mu.wakers, w)
	}
	b.mu.Unlock()
	if told {
		w.Wake()
	}
}

// finish tells those who wait for b what became of it.
func (b *batch) finish(results []kv.Result, err error) {
	b.held.Add(-int64(b.size))
	b.results, b.err = results, err
	if n := len(results); n > 0 && err == nil {
		b.times.ObserveN(time.Since(b.began), uint64(n))
	}
	close(b.done)
	b.mu.Lock()
	wakers := b.mu.wakers
	b.mu.told, b.mu.wakers = true, nil
	b.mu.Unlock()
	for _, w := range wakers {
		w.Wake()
	}
}
