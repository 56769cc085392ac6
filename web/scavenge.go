package web

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// scavengeStreams is how many new connections, or watches, leave enough garbage behind
	// to collect it at once: to open them took far more memory than they keep.
	scavengeStreams = 1000
	// scavengeHeap is the largest heap that is collected for it, in bytes. In a
	// larger one what streams leave hardly counts.
	scavengeHeap = 1 << 30
	// scavengeQuiet is how long no stream may have come.
	scavengeQuiet = time.Second
)

// scavenge returns what surges of new connections and watches have left to the system, once
// they are over, until ctx ends. opened counts how many there ever were.
func scavenge(ctx context.Context, opened func() uint64) {
	tick := time.NewTicker(scavengeQuiet)
	defer tick.Stop()
	var seen, done uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := opened()
		if quiet := now == seen; quiet && now-done >= scavengeStreams {
			done = now
			collect()
		}
		seen = now
	}
}

func collect() {
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.HeapAlloc <= scavengeHeap {
		runtime.GC() // what pools hold goes in the second round
		debug.FreeOSMemory()
	}
}
