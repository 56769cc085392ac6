package web

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"keywatch/watch"
	"keywatch/web/reactor"
)

const (
	// surgeStreams is how many new streams, or watches, leave enough garbage behind
	// to collect it at once: to open them took far more memory than they keep.
	surgeStreams = 1000
	// surgeHeap is the largest heap that is collected for it, in bytes. In a
	// larger one what streams leave hardly counts.
	surgeHeap = 1 << 30
	// surgeQuiet is how long no stream may have come.
	surgeQuiet = time.Second
)

// tidyUp returns what surges of new streams and watches have left to the system,
// once they are over, until ctx ends.
func tidyUp(ctx context.Context, r *reactor.Reactor, h *watch.Hub) {
	tick := time.NewTicker(surgeQuiet)
	defer tick.Stop()
	var seen, tidied uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		opened := r.Adopted() + h.Opened()
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
		runtime.GC() // what pools hold goes in the second round
		debug.FreeOSMemory()
	}
}
