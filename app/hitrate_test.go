package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/kv/policy"
	"keywatch/test/gate"
)

// A live is a whole engine on disk as a cache that traces are run against, with
// memory for a tenth of its values; the rest is read from the checkpoint file.
type live struct {
	*app.Engine
	t      *testing.T
	keys   int
	values int64 // bytes
	reads  int
	share  float64 // sum of the shares of values that were in memory
	looks  int
}

const (
	liveValue = 4 << 10
	// liveLook is after how many reads it is looked how much is in memory.
	liveLook = 500
)

func liveKey(i int) string { return fmt.Sprintf("trace/%06d", i) }

// newLive fills a store and opens it again with less memory.
func newLive(t *testing.T, keys int) *live {
	config := app.Config{Data: t.TempDir(), Fsync: "interval", MemoryMax: 512 << 20, History: 1 << 20}
	e := openEngine(t, config)
	for i := 0; i < keys; i += 100 {
		var c kv.Command
		for j := i; j < min(i+100, keys); j++ {
			c.Ops = append(c.Ops, kv.Op{Kind: kv.OpPut, Key: liveKey(j), Value: []byte(strings.Repeat("v", liveValue))})
		}
		if _, err := e.Do(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What a tenth of the values takes, with all keys, what is kept of the other
	// values, the part of the limit that eviction keeps free, and history.
	const kept = 33
	m := e.Status().Memory
	need := m.Keys + m.Values/10 + int64(keys)*9/10*kept
	config.MemoryMax = app.Size(need*16/15 + e.Hub().MemoryMax())
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return &live{Engine: openEngine(t, config), t: t, keys: keys, values: int64(keys) * liveValue}
}

// Read implements policy.Cache.
func (l *live) Read(key int) bool {
	e, err := l.Get(l.t.Context(), liveKey(key))
	if err != nil || e.Size() != liveValue {
		l.t.Fatalf("get %s: %v", liveKey(key), err)
	}
	if l.reads++; l.reads%liveLook == 0 {
		l.share += float64(l.Status().Tiers.Memory.Bytes) / float64(l.values)
		l.looks++
	}
	return e.Tier() == kv.TierMemory
}

// TestProofLiveHitRate: with memory for a tenth of the values, and scans among the
// reads, a running store answers as many reads from memory as the best of the known
// policies would, less a point: with everything in place that decides it, from the
// evictor to the file.
func TestProofLiveHitRate(t *testing.T) {
	gate.Long(t)
	const keys, reads = 10_000, 150_000
	trace := policy.Trace{Seed: 1, Keys: keys, Reads: reads, Skew: 1.07, Scan: 0.2, ScanLength: keys / 20}
	l := newLive(t, keys)
	began := time.Now()
	rate := policy.HitRate(trace, l)
	share := l.share / float64(l.looks)
	s := l.Status()
	t.Logf("%-14s %.2f %%, with %.2f %% of the values in memory; %d reads in %v, %.2f %% from memory in all, %d evictions",
		"keywatch", 100*rate, 100*share, reads, time.Since(began).Round(time.Millisecond), 100*s.Tiers.Memory.HitRate, s.Tiers.Evictions)
	// As many as were in memory here, which is about a tenth.
	size := int(share * keys)
	best, by := 0.0, ""
	for name, c := range map[string]policy.Cache{
		"LRU": policy.NewLRU(keys / 10), "CLOCK, 1 bit": policy.NewClock(size, 1), "CLOCK, 2 bits": policy.NewClock(size, 3),
		"SIEVE": policy.NewSieve(keys / 10), "S3-FIFO": policy.NewS3FIFO(size, 10, 1),
	} {
		rate := policy.HitRate(trace, c)
		t.Logf("%-14s %.2f %%", name, 100*rate)
		if rate > best {
			best, by = rate, name
		}
	}
	if rate < best-0.01 {
		t.Errorf("%.2f %% of reads were answered from memory, and %s has %.2f %%", 100*rate, by, 100*best)
	}
	if share > 0.11 || share < 0.09 || s.Tiers.Evictions == 0 {
		t.Errorf("%.2f %% of the values were in memory, want about 10: the test compares nothing", 100*share)
	}
}
