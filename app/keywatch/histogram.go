package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are at most 1/64 wide, from a
// nanosecond to centuries. It is not safe for concurrent use.
type histogram struct {
	counts [58 * 64]uint64
	n      uint64
	max    time.Duration
}

// subBits is how many bits of a duration, below its highest, tell buckets
// apart.
const subBits = 6

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := max(bits.Len64(v)-1-subBits, 0)
	return shift<<subBits + int(v>>shift)
}

// highest returns the largest duration in a bucket.
func highest(bucket int) time.Duration {
	if bucket < 2<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	return time.Duration(uint64(bucket-shift<<subBits+1)<<shift - 1)
}

// add counts d.
func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

// merge adds what o has counted.
func (h *histogram) merge(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile returns the duration that a share q of all, 0 to 1, do not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank, seen := max(uint64(q*float64(h.n)+0.5), 1), uint64(0)
	for i, c := range h.counts {
		if seen += c; c > 0 && seen >= rank {
			return min(highest(i), h.max)
		}
	}
	return 0
}
