package web

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// surgeStreams is how many new streams leave enough garbage behind to collect
	// it at once: their handshakes took far more memory than they keep.
	surgeStreams = 1000
	// surgeHeap is the largest heap that is collected for it, in bytes. In a
	// larger one what streams leave hardly counts.
	surgeHeap = 1 << 30
	// surgeQuiet is how long no stream may have come.
	surgeQuiet = time.Second
)

// tidyUp returns what surges of new streams have left to the system, once they
// are over, until ctx ends.
func (r *streamRegistry) tidyUp(ctx context.Context) {
	tick := time.NewTicker(surgeQuiet)
	defer tick.Stop()
	var seen, tidied uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		opened := r.opened.Load()
		if quiet := opened == seen; quiet && opened-tidied >= surgeStreams {
			tidied = opened
			collect()
		}
		seen = opened
	}
}

func collect() {
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.HeapAlloc <= surgeHeap {
		debug.FreeOSMemory()
	}
}
