package latency_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"keywatch/kv/latency"
	"keywatch/test/gate"
)

// exact returns the bucket that the definition of native histograms gives: the key is the
// least with d <= 2^(key/4).
func exact(d time.Duration) int {
	if d.Seconds() <= latency.Least {
		return 0
	}
	key := int(math.Ceil(math.Log2(d.Seconds())*latency.PerDouble - 1e-9))
	return min(key-latency.LeastKey+1, latency.Buckets-1)
}

// A duration in another bucket than Prometheus expects would move every quantile that is
// drawn.
func TestBuckets(t *testing.T) {
	random := rand.New(rand.NewPCG(gate.Seed(t), 0))
	list := []time.Duration{-1, 0, 1, 953, 954, 955, time.Second, time.Second + 1, time.Second / 2, time.Second / 1024, time.Minute, 5000 * time.Second, 1 << 62}
	for range 10_000 {
		list = append(list, time.Duration(math.Exp(random.Float64()*math.Log(1e14))))
	}
	for _, d := range list {
		var h latency.Histogram
		h.Observe(d)
		s := h.Snapshot()
		if want := exact(d); s.Counts[want] != 1 || s.Count != 1 || s.Sum != d {
			t.Errorf("%v: got %+v, want a count of 1 in bucket %d", d, s, want)
		}
	}
}

// A bound of the classic buckets must count exactly what is below it.
func TestBelow(t *testing.T) {
	var h latency.Histogram
	for _, ms := range []int{1, 100, 250, 251, 499, 500, 501, 2000} {
		h.Observe(time.Duration(ms) * time.Millisecond)
	}
	h.ObserveN(time.Hour, 3)
	s := h.Snapshot()
	for exp, want := range map[int]uint64{-30: 0, -20: 0, -2: 3, -1: 6, 0: 7, 1: 8, 12: 11, 40: 11} {
		if got := s.Below(exp); got != want {
			t.Errorf("at most 2^%d s: got %d, want %d", exp, got, want)
		}
	}
}

// A count that is lost between two writers would make rates wrong.
func TestConcurrentObserve(t *testing.T) {
	var h latency.Histogram
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				h.Observe(time.Millisecond)
			}
		})
	}
	all.Wait()
	if s := h.Snapshot(); s.Count != 8000 || s.Sum != 8*time.Second {
		t.Errorf("got %d in %v, want 8000 in 8s", s.Count, s.Sum)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h latency.Histogram
	b.RunParallel(func(p *testing.PB) {
		for d := time.Microsecond; p.Next(); d += 100 {
			h.Observe(d)
		}
	})
}

// BenchmarkTimed is what a request pays: two looks at the clock and a count.
func BenchmarkTimed(b *testing.B) {
	var h latency.Histogram
	born := time.Now()
	for b.Loop() {
		began := time.Since(born)
		h.Observe(time.Since(born) - began)
	}
}
