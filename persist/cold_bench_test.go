package persist_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"
)

// BenchmarkReadCold reads values of 512 bytes that are on disk only, and brings
// them into memory; the file is in the page cache.
func BenchmarkReadCold(b *testing.B) {
	const keys = 200_000
	r := newRig(b, persist.Hooked(persist.Options{Logger: tight.Logger}, nil, nil))
	value := string(make([]byte, 512))
	var batch []*kv.Command
	for i := range keys {
		batch = append(batch, put(fmt.Sprintf("key/%d", i), value, 0))
		if len(batch) == 500 {
			r.do(batch...)
			batch = batch[:0]
		}
	}
	r.mustCheckpoint()
	for r.state.Evict(1<<30) > 0 {
	}
	took := make([]time.Duration, 0, 1<<20)
	for b.Loop() {
		key := fmt.Sprintf("key/%d", rand.IntN(keys))
		began := time.Now()
		e, _, err := r.state.Read(b.Context(), key)
		if err != nil || e.Size() != 512 {
			b.Fatalf("read %s: %v", key, err)
		}
		if e.Tier() == kv.TierDisk {
			took = append(took, time.Since(began))
		}
		if len(took)%1000 == 999 {
			r.state.Evict(1 << 30)
		}
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		b.ReportMetric(float64(took[n/2].Nanoseconds()), "p50-ns")
		b.ReportMetric(float64(took[n*99/100].Nanoseconds()), "p99-ns")
	}
}
