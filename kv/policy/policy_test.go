package policy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/kv/policy"
)

// traces are what policies are compared on; memory holds a tenth of the keys.
func traces(keys, reads int) map[string]policy.Trace {
	base := policy.Trace{Seed: 1, Keys: keys, Reads: reads, Skew: 1.07}
	scans, shifts := base, base
	scans.Scan, scans.ScanLength = 0.2, keys/20
	shifts.Shift = reads / 8
	return map[string]policy.Trace{"zipf": base, "scans": scans, "shifts": shifts}
}

// rivals are the policies that were considered.
func rivals(size int) map[string]policy.Cache {
	return map[string]policy.Cache{
		"lru": policy.NewLRU(size), "clock1": policy.NewClock(size, 1), "clock2": policy.NewClock(size, 3),
		"sieve": policy.NewSieve(size), "s3fifo": policy.NewS3FIFO(size, 10, 2), "s3fifo-1": policy.NewS3FIFO(size, 10, 1),
	}
}

// A real is a state with all keys in its checkpoint, evicted to a tenth.
type real struct {
	state *kv.State
	bytes int64
	names []string
	disk  map[kv.Locator][]byte
}

// ReadCold implements kv.ColdReader.
func (r *real) ReadCold(_ context.Context, ref kv.ColdRef) (string, error) {
	return ref.ParseValue(r.disk[ref.At])
}

func newReal(tb testing.TB, keys, size int) *real {
	tb.Helper()
	r := &real{disk: make(map[kv.Locator][]byte)}
	r.state = kv.NewState(kv.StateOptions{Cold: r})
	log, err := kvtest.NewDirect(r.state, 1, kv.Params{})
	if err != nil {
		tb.Fatal(err)
	}
	store := kv.NewStore(r.state, log, kv.Limits{})
	value := []byte(strings.Repeat("v", 100))
	for i := range keys {
		r.names = append(r.names, fmt.Sprintf("key/%d", i))
		if _, err := store.Do(tb.Context(), &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: r.names[i], Value: value}}}); err != nil {
			tb.Fatal(err)
		}
	}
	c, err := r.state.Freeze()
	if err != nil {
		tb.Fatal(err)
	}
	for rec := range c.Records() {
		r.disk[rec.Locator()] = rec.AppendTo(nil)
	}
	c.Commit()
	r.bytes = r.state.Memory().Evictable / int64(keys) * int64(size)
	return r
}

// Read implements policy.Cache.
func (r *real) Read(key int) bool {
	e, _, err := r.state.Read(context.Background(), r.names[key])
	if err != nil {
		panic(err)
	}
	if over := r.state.Memory().Evictable - r.bytes; over > 0 {
		r.state.Evict(over)
	}
	return e.Tier() == kv.TierMemory
}

// What a state evicts must be as good a choice as the best of the known policies
// makes, within a point; if not, it does not do what it says.
func TestRealPolicyIsNearTheBest(t *testing.T) {
	const keys, reads = 10_000, 150_000
	for name, trace := range traces(keys, reads) {
		best, by := 0.0, ""
		for rival, c := range rivals(keys / 10) {
			rate := policy.HitRate(trace, c)
			t.Logf("%-7s %-9s %.2f %%", name, rival, 100*rate)
			if rate > best {
				best, by = rate, rival
			}
		}
		rate := policy.HitRate(trace, newReal(t, keys, keys/10))
		t.Logf("%-7s %-9s %.2f %%", name, "keywatch", 100*rate)
		if rate < best-0.01 {
			t.Errorf("%s: got %.2f %%, and %s has %.2f %%", name, 100*rate, by, 100*best)
		}
	}
}

// BenchmarkHitRate reports the hit rates, in percent, with ten times as many keys.
func BenchmarkHitRate(b *testing.B) {
	const keys, reads = 100_000, 1_000_000
	for name, trace := range traces(keys, reads) {
		caches := rivals(keys / 10)
		caches["keywatch"] = newReal(b, keys, keys/10)
		for by, c := range caches {
			b.Run(name+"/"+by, func(b *testing.B) {
				b.ReportMetric(100*policy.HitRate(trace, c), "hits/100")
			})
		}
	}
}
