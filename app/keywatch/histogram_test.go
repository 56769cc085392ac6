package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// If buckets were wrong at an edge, a latency would be counted as another.
func TestBucketsCoverEverything(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 63, 64, 65, 127, 128, 129, 255, 256, 1000, time.Second, time.Hour, math.MaxInt64} {
		b := bucketOf(d)
		if got := highest(b); got < d || float64(got-d) > float64(d)/64 {
			t.Errorf("%d: bucket %d ends at %d, want at most 1/64 above", d, b, got)
		}
		if b > 0 && highest(b-1) >= d {
			t.Errorf("%d: the bucket before %d ends at %d, want below", d, b, highest(b-1))
		}
		if b >= len(histogram{}.counts) {
			t.Errorf("%d: bucket %d is out of range", d, b)
		}
	}
}

// If quantiles were off, a benchmark would lie.
func TestQuantilesMatchSorting(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	var a, b histogram
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(math.Exp(r.Float64() * 20))
		all = append(all, d)
		if i%2 == 0 {
			a.add(d)
		} else {
			b.add(d)
		}
	}
	a.merge(&b)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(q*float64(len(all))+0.5), 1)-1]
		if got := a.quantile(q); got < want || float64(got-want) > float64(want)/64 {
			t.Errorf("quantile %v: got %v, want %v or up to 1/64 more", q, got, want)
		}
	}
	if got := new(histogram).quantile(0.5); got != 0 {
		t.Errorf("empty: got %v, want 0", got)
	}
}
