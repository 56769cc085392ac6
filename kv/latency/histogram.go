// Package latency counts how long things take, in so little time that what takes
// microseconds can be counted too.
package latency

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// PerDouble is how many buckets there are between a duration and twice as much: each
	// is wider than the one before by the factor 2^(1/PerDouble), 19 %. Prometheus calls
	// that schema 2 of native histograms.
	PerDouble = 4
	// leastExp and mostExp are the powers of two, in seconds, that the buckets lie between:
	// a microsecond and more than an hour. What is longer counts in the last one.
	leastExp, mostExp = -20, 12
	// Buckets is how many there are: the first for what takes Least at most, and those
	// between the powers.
	Buckets = 1 + (mostExp-leastExp)*PerDouble
	// stripes spread the writers, so that two processors seldom write the same line.
	stripes = 8
)

// Least is the upper bound of the first bucket, in seconds.
var Least = math.Ldexp(1, leastExp)

// LeastKey is the key of the bucket after the first one: the upper bound of the bucket with
// key k is 2^(k/PerDouble) seconds.
const LeastKey = leastExp*PerDouble + 1

// Of a float64: how many bits its fraction has, and what its exponent is too large by.
const fracBits, expBias = 52, 1023

// bounds are the fractions of those bounds of buckets that are no powers of two.
var bounds = [PerDouble - 1]uint64{fraction(math.Exp2(0.25)), fraction(math.Exp2(0.5)), fraction(math.Exp2(0.75))}

func fraction(f float64) uint64 { return math.Float64bits(f) & (1<<fracBits - 1) }

// A Histogram counts durations. The zero value is ready. It is safe for concurrent use, and
// must not be copied.
type Histogram struct{ stripes [stripes]stripe }

type stripe struct {
	counts [Buckets]atomic.Uint64
	nanos  atomic.Int64
	_      [48]byte // so that stripes share no line of a processor's cache
}

// Observe counts d.
func (h *Histogram) Observe(d time.Duration) { h.ObserveN(d, 1) }

// ObserveN counts d n times.
func (h *Histogram) ObserveN(d time.Duration, n uint64) {
	s := &h.stripes[rand.Uint32()%stripes]
	s.counts[bucketOf(d)].Add(n)
	s.nanos.Add(int64(d) * int64(n))
}

// bucketOf returns the bucket whose upper bound is the least that is not below d.
func bucketOf(d time.Duration) int {
	seconds := float64(d) * 1e-9
	if seconds <= Least {
		return 0
	}
	key := (int(math.Float64bits(seconds)>>fracBits) - expBias) * PerDouble
	frac := fraction(seconds)
	if frac > 0 { // a power of two is the upper bound of its bucket
		key++
	}
	for _, b := range bounds {
		if frac > b {
			key++
		}
	}
	return min(key-LeastKey+1, Buckets-1)
}

// A Snapshot is what a Histogram has counted.
type Snapshot struct {
	// Counts has the count of each bucket, not of those below it.
	Counts [Buckets]uint64
	// Count is their sum, Sum that of the durations.
	Count uint64
	Sum   time.Duration
}

// Snapshot returns what was counted so far. What is counted meanwhile may be in it or not.
func (h *Histogram) Snapshot() *Snapshot {
	s := new(Snapshot)
	for i := range h.stripes {
		from := &h.stripes[i]
		for b := range from.counts {
			n := from.counts[b].Load()
			s.Counts[b] += n
			s.Count += n
		}
		s.Sum += time.Duration(from.nanos.Load())
	}
	return s
}

// Below returns how many durations were at most 2^exp seconds, exactly.
func (s *Snapshot) Below(exp int) (n uint64) {
	end := exp*PerDouble - LeastKey + 1
	for b := 0; b <= min(end, Buckets-1); b++ {
		n += s.Counts[b]
	}
	return n
}
